from cli.embedded.account import Account


def test_a_command_keeps_one_capability_and_dies_with_its_parent() -> None:
    prefix = Account("nobody", 65534, 65534, "dac_read_search").command_prefix("SIGINT")
    assert prefix[0] == "setpriv"
    assert prefix[-1] == "--"
    assert {"--reuid=65534", "--ambient-caps=-all,+dac_read_search", "--pdeathsig=SIGINT"} <= set(prefix)


def test_without_the_capability_none_is_asked_for() -> None:
    prefix = Account("nobody", 65534, 65534, None).command_prefix("SIGINT")
    assert not any("caps" in word for word in prefix)
