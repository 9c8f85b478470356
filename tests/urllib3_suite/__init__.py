"""urllib3's own tests under the guard: its source archive carries them, so they are run as they are, four times.

    python -m tests.urllib3_suite                                  # every test, four times
    python -m tests.urllib3_suite test/test_retry.py -k "sleep"    # what follows is pytest's, from the archive's top

bare      nothing is guarded
passive   every manager and pool is guarded as it is made, by a guard without policies
shadow    the same by ``presets.clever`` in shadow mode: it counts
clever    the same by ``presets.clever`` in earnest, with a memory store and a budget that is never used up, in virtual time

A test whose outcome is not the bare one's is run again alone, bare and guarded; what shows each time is a difference, and must stand in
``differences.py`` with its reason. The exit status is 1 when one does not.

prepare      the archive, and an environment of its own for it
plugin       runs inside that environment: guards what is made, writes outcomes down
loopback     runs there too: nothing leaves the machine
compare      what differs, and whether that is explained
differences  the explained ones
"""
