"""pip's configuration, as uv has to be told it."""

from pathlib import Path

from pipelines.environments.uv import has_file, index_choices, parse_settings, uv_variables


def test_settings_are_read_from_files_and_variables_and_the_variable_wins() -> None:
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


def test_uv_is_told_what_pip_is_configured_with_and_missing_folders_are_left_out(tmp_path: Path) -> None:
    settings = {
        "find-links": f"{tmp_path} {tmp_path}/missing https://wheels.example/page.html",
        "index-url": "https://mirror.example/simple",
        "cert": "/etc/company.pem",
        "timeout": "180",
        "trusted-host": "mirror.example",
        "proxy": "http://proxy.example:3128",
    }
    said = uv_variables(settings, {"UV_HTTP_TIMEOUT": "7"})
    assert said["UV_FIND_LINKS"] == f"{tmp_path},https://wheels.example/page.html"
    assert said["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert said["SSL_CERT_FILE"] == "/etc/company.pem"
    assert said["UV_INSECURE_HOST"] == "mirror.example"
    assert said["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert "UV_HTTP_TIMEOUT" not in said, "what is said to uv itself wins"


def test_without_any_configuration_uv_is_left_to_its_own_defaults() -> None:
    assert uv_variables({}, {}).keys() == {"UV_PYTHON_DOWNLOADS", "UV_NO_PROGRESS"}
    assert index_choices({}, {}) == [{}]


def test_extra_indexes_are_tried_after_the_main_one_and_also_alone(tmp_path: Path) -> None:
    settings = {"extra-index-url": f"file://{tmp_path} file://{tmp_path}/missing https://more.example/simple"}
    plain, together, alone = index_choices(settings, {})
    assert plain == {}
    assert together["UV_INDEX"] == f"file://{tmp_path} https://more.example/simple"
    assert (alone["UV_DEFAULT_INDEX"], alone["UV_INDEX"]) == (f"file://{tmp_path}", "https://more.example/simple")
    assert index_choices(settings, {"UV_INDEX": "https://mine.example"}) == [{}]


def test_a_wheel_counts_only_if_it_fits_version_python_and_machine(tmp_path: Path) -> None:
    (tmp_path / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl").touch()
    (tmp_path / "torch-2.13.0%2Bcpu-cp312-cp312-manylinux_2_28_x86_64.whl").touch()
    (tmp_path / "torch-2.13.0+cpu-cp313-cp313-manylinux_2_28_aarch64.whl").touch()
    settings = {"find-links": str(tmp_path)}
    assert has_file(settings, {}, "torch", "2.13.0+cpu", (3, 11))
    assert has_file(settings, {}, "torch", "2.13.0+cpu", (3, 12))
    assert not has_file(settings, {}, "torch", "2.13.0+cpu", (3, 13))
    assert not has_file(settings, {}, "torch", "2.13.0", (3, 11))
    assert has_file({}, {"UV_FIND_LINKS": f"/missing,{tmp_path}"}, "torch", "2.13.0+cpu", (3, 11))
    assert not has_file({}, {}, "torch", "2.13.0+cpu", (3, 11))
