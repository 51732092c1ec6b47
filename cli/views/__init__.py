"""What people see: live columns, plain lines, the final report. They read a transcript and decide nothing."""
