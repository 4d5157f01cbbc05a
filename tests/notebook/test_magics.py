"""Loading the extension into a shell, whatever its configuration says."""

from __future__ import annotations

import pytest
from shells import new_shell

from fact_magics.errors import SettingsError


@pytest.fixture
def shell():
    return new_shell()


def test_a_setting_that_can_t_be_is_one_line_and_can_be_taken_back(shell):
    shell.config.FactMagics.isolation = "requier"
    with pytest.raises(SettingsError, match="requier") as caught:
        shell.extension_manager.load_extension("fact_magics")
    assert len(caught.value._render_traceback_()) == 1
    shell.run_cell("get_ipython().config.FactMagics.clear()").raise_error()
    assert "get_ipython().config.FactMagics.clear()" in caught.value.hint
    shell.extension_manager.load_extension("fact_magics")
    assert shell.magics_manager.registry["FactMagics"].isolation is None
    shell.extension_manager.unload_extension("fact_magics")


def test_what_config_refused_does_not_bar_the_next_load_unsaid(shell, caplog):
    shell.extension_manager.load_extension("fact_magics")
    shell.run_line_magic("config", "FactMagics.limits = {'elephants': 1}")
    assert "elephants" in caplog.text
    shell.extension_manager.unload_extension("fact_magics")
    with pytest.raises(SettingsError, match="elephants"):
        shell.extension_manager.load_extension("fact_magics")


def test_a_timeout_that_is_not_a_number_is_refused_and_a_log_level_may_be_in_capitals(shell, caplog):
    shell.extension_manager.load_extension("fact_magics")
    shell.run_line_magic("config", "FactMagics.model_timeout = 60")
    shell.run_line_magic("config", "FactMagics.model_timeout = float('nan')")
    assert "FactMagics.model_timeout was not changed: nan is not a number of seconds." in caplog.text
    shell.run_line_magic("config", "FactMagics.log_level = 'DEBUG'")
    settings = shell.magics_manager.registry["FactMagics"]
    assert (settings.model_timeout, settings.log_level) == (60, "debug")
    shell.extension_manager.unload_extension("fact_magics")
