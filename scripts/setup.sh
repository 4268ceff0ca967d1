#!/bin/sh
# Installs what is named: compiler, postgresql, rabbitmq, chromium, headless-shell. Starts no server: memberflow does that,
# privately. Where something cannot be installed it says what to do and ends well, so that its caller
# continues with what there is.
set -eu

say() { printf 'setup: %s\n' "$*" >&2; }

# The packages that hold $2 where packages come from $1.
packages() {
    case "$1:$2" in
        apt:compiler) echo gcc libc6-dev ;;
        apt:rabbitmq) echo rabbitmq-server ;;
        apt:chromium) echo chromium chromium-driver ;;
        # Not every system has it; the tests go on with Chromium itself.
        apt:headless-shell) echo chromium-headless-shell ;;
        brew:compiler) echo gcc ;;
        brew:postgresql) echo postgresql@17 ;;
        # chromedriver drives Chrome of the same version, which is what Homebrew has.
        brew:chromium) echo google-chrome chromedriver ;;
        brew:headless-shell) ;;
        *) echo "$2" ;;
    esac
}

# Debian starts a server as soon as it is installed, unless this file says no.
policy=/usr/sbin/policy-rc.d

forbid_starting() {
    [ ! -e "$policy" ] || return 0
    trap '$sudo rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
    $sudo sh -c "printf '#!/bin/sh\nexit 101\n' > $policy && chmod 755 $policy"
}

# Waits for another apt, such as the automatic updates of a machine that has just been started.
apt_install() {
    [ $# -gt 0 ] || return 0
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -q \
        --no-install-recommends "$@" </dev/null >&2
}

install() {
    [ $# -gt 0 ] || return 0
    say "installing $*"
    if [ "$from" = brew ]; then
        brew install --quiet "$@" >&2
    else
        # An old or empty list of packages is the usual reason for a failure: renew it and try again,
        # even if another vendor's list cannot be had.
        apt_install "$@" || { $sudo apt-get update -q </dev/null >&2 || true; apt_install "$@"; }
    fi
}

[ $# -gt 0 ] || exit 0

sudo=
[ "$(id -u)" = 0 ] || sudo='sudo -n'

if command -v brew >/dev/null; then
    from=brew
elif ! command -v apt-get >/dev/null; then
    say "missing here: $*. Please install it with your system's package manager."
    exit 0
elif $sudo true 2>/dev/null; then
    from=apt
    forbid_starting
else
    say "missing here, and only root can install it: $*. Please run:"
    # shellcheck disable=SC2046 # one name may stand for several packages
    say "    sudo apt-get install --no-install-recommends" $(for name in "$@"; do packages apt "$name"; done)
    exit 0
fi

for name in "$@"; do
    # shellcheck disable=SC2046 # one name may stand for several packages
    install $(packages "$from" "$name") || say "could not install $name: continuing without it"
done
