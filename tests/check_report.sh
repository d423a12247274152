#!/bin/sh
# The HTML report in headless Chromium; skipped, visibly, without the Debian packages chromium and chromium-driver.
cd "$(dirname "$0")/.." || exit 2
[ -x /usr/bin/python3 ] || { echo "1..1"; echo "ok 1 - the report in a browser # SKIP no python3"; exit 0; }
exec /usr/bin/python3 tests/report_browser.py "${DCLS:-./dcls}" "$@"
