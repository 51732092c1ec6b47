from cli.embedded.model_server import parameters


def test_the_pages_of_no_site_may_read_what_the_model_says() -> None:
    told = parameters(8123, "weights.gguf", "/engines/llama.cpp")
    # "*", the default, is every site's, and "localhost" every page's that is served on this machine
    assert told.cors_origins == "http://127.0.0.1:8123"
    assert not told.cors_credentials
