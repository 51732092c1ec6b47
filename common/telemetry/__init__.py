"""Traces and metrics over OTLP, in OpenTelemetry's words for generative AI, for whoever has a collector for them.

Off, and not even imported, without OTEL_EXPORTER_OTLP_ENDPOINT. What is asked and answered is in none of it.
"""

from common.settings import Settings
from common.telemetry.port import SILENT, Telemetry


def telemetry_of(settings: Settings, service: str) -> Telemetry:
    """The telemetry of this process, a `service` of the installation; whoever asks for it closes it."""
    if settings.otel_exporter_otlp_endpoint is None:
        return SILENT
    from common.telemetry.exporting import Exporting  # a tenth of a second and 20 MB
    from common.telemetry.spans import Traced

    return Traced(Exporting(settings, service), use_mock=settings.use_mock)
