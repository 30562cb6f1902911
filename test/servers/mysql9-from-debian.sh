#!/bin/bash
# Unpacks MySQL from Debian's unstable packages into a folder beside the system, whose own packages stay as they are.
# The mirror is the one that this machine uses already. Needs no root. About 60 MB to download, 330 MB unpacked.
# usage: mysql9-from-debian.sh DIR     (DIR/root is the tree, DIR/done says that it is whole)
set -euo pipefail
folder=$1
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { echo 'no apt-get and dpkg-deb here'; exit 1; }
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keyring" ] || { echo "no $keyring here"; exit 1; }
mirror=$({ cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null || true; } |
  awk '/^URIs:/ { print $2; exit } /^deb / { for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) { print $i; exit } }')
[ -n "$mirror" ] || { echo 'no Debian mirror in the sources of apt'; exit 1; }

mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9
[ -e "$folder/done" ] && exit 0
apt=$folder/apt root=$folder/root
rm -rf "$root"
mkdir -p "$apt"/{etc/apt/preferences.d,var/lib/apt/lists/partial,var/cache/apt/archives/partial,var/lib/dpkg} "$root"
: > "$apt/var/lib/dpkg/status"
echo "deb [signed-by=$keyring] $mirror sid main" > "$apt/etc/apt/sources.list"
options=(-q -o "Dir=$apt" -o "Dir::State::status=$apt/var/lib/dpkg/status" -o "APT::Sandbox::User=$(id -un)" -o Acquire::Retries=3 -o Acquire::Languages=none)
apt-get "${options[@]}" update
apt-get "${options[@]}" install -y --no-install-recommends --download-only mysql-server-core
for package in "$apt"/var/cache/apt/archives/*.deb; do dpkg-deb -x "$package" "$root"; done
"$root/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu" "$root/usr/sbin/mysqld" --no-defaults --version
rm -rf "$apt"
touch "$folder/done"
