"""pip's configuration, passed to uv."""

from pathlib import Path

from pipelines.environments.uv import has_wheel, index_choices, parse_settings, pip_variables, uv_variables


def test_variables_take_precedence_over_files() -> None:
    listing = "\n".join(
        [
            "global.find-links='/a'",
            "global.extra-index-url='file:///x\\nfile:///y'",
            ":env:.find-links='/b'",
            "install.no-index='true'",
            "list.format='columns'",
        ]
    )
    assert parse_settings(listing) == {
        "find-links": "/b",
        "extra-index-url": "file:///x\nfile:///y",
        "no-index": "true",
    }


def test_uv_gets_pips_settings_without_missing_folders(tmp_path: Path) -> None:
    settings = {
        "find-links": f"{tmp_path} {tmp_path}/missing https://wheels.example/page.html",
        "index-url": "https://mirror.example/simple",
        "cert": "/etc/company.pem",
        "timeout": "180",
        "trusted-host": "mirror.example\nother.example",
        "proxy": "http://proxy.example:3128",
        "no-index": "yes",
    }
    assert uv_variables(settings, {"UV_HTTP_TIMEOUT": "7"}) == {
        "UV_FIND_LINKS": f"{tmp_path},https://wheels.example/page.html",
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_NO_INDEX": "1",
        "SSL_CERT_FILE": "/etc/company.pem",
        "UV_INSECURE_HOST": "mirror.example other.example",
        "HTTPS_PROXY": "http://proxy.example:3128",
        "HTTP_PROXY": "http://proxy.example:3128",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
    }


def test_without_any_configuration_uv_keeps_its_defaults() -> None:
    assert uv_variables({}, {}).keys() == {"UV_PYTHON_DOWNLOADS", "UV_NO_PROGRESS"}
    assert index_choices({}, {}) == [{}]


def test_pip_gets_the_users_settings_for_uv() -> None:
    environ = {"UV_DEFAULT_INDEX": "https://mirror.example/simple", "UV_FIND_LINKS": "/a,/b", "UV_CACHE_DIR": "/c"}
    assert pip_variables(environ) == {"PIP_INDEX_URL": "https://mirror.example/simple", "PIP_FIND_LINKS": "/a /b"}


def test_extra_indexes_are_tried_after_the_main_one_and_alone(tmp_path: Path) -> None:
    settings = {"extra-index-url": f"file://{tmp_path} file://{tmp_path}/missing https://more.example/simple"}
    plain, together, alone = index_choices(settings, {})
    assert plain == {}
    assert together["UV_INDEX"] == f"file://{tmp_path} https://more.example/simple"
    assert (alone["UV_DEFAULT_INDEX"], alone["UV_INDEX"]) == (f"file://{tmp_path}", "https://more.example/simple")
    assert index_choices(settings, {"UV_INDEX": "https://mine.example"}) == [{}]


def test_a_wheel_must_fit_version_python_and_machine(tmp_path: Path) -> None:
    (tmp_path / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl").touch()
    (tmp_path / "torch-2.13.0%2Bcpu-cp312-cp312-manylinux_2_28_x86_64.whl").touch()
    (tmp_path / "torch-2.13.0+cpu-cp313-cp313-manylinux_2_28_aarch64.whl").touch()
    settings = {"find-links": str(tmp_path)}
    assert has_wheel(settings, {}, "torch", "2.13.0+cpu", "3.11")
    assert has_wheel(settings, {}, "torch", "2.13.0+cpu", "3.12")
    assert not has_wheel(settings, {}, "torch", "2.13.0+cpu", "3.13")
    assert not has_wheel(settings, {}, "torch", "2.13.0", "3.11")
    assert has_wheel({}, {"UV_FIND_LINKS": f"/missing,{tmp_path}"}, "torch", "2.13.0+cpu", "3.11")
    assert not has_wheel({}, {}, "torch", "2.13.0+cpu", "3.11")
