#!/usr/bin/env bash
# stand_in.sh DIR [NAME]: an image NAME that stands for python:3.x-slim where no registry can be reached. Root, Debian.
# It is made of the interpreter of .venv, its pip, the shared libraries it needs and a busybox shell; it has no apt and
# no compiler. Its pip finds the packages that the Dockerfile installs in /wheels, so that a build needs no network.
# DIR takes its root file system, some 200 MB, for as long as it takes.
set -euo pipefail
root=${1:?a directory for the root file system}; name=${2:-millrace-stand-in}
python=$(dirname "$0")/../../.venv/bin/python
prefix=$("$python" -c 'import sys; print(sys.base_prefix)')
pip=$("$python" -c 'import os, pip; print(os.path.dirname(pip.__file__))')
version=$("$python" -c 'import sys; print(f"{sys.version_info.major}.{sys.version_info.minor}")')
command -v busybox > /dev/null || timeout --kill-after=10 120 apt-get install -y -qq --no-install-recommends busybox-static > /dev/null 2>&1

rm -rf "$root"
mkdir -p "$root"/{bin,etc/ssl/certs,tmp,root,proc,sys,dev,var/tmp,usr/bin,usr/local,lib64,lib,usr/lib,run,home}
chmod 1777 "$root/tmp" "$root/var/tmp"

# The interpreter with its standard library, without what is installed beside it.
library=lib/python$version
tar -C "$prefix" -cf - --exclude="$library/site-packages/*" --exclude="$library/dist-packages/*" --exclude="$library/test" \
    --exclude='*/__pycache__' --exclude='lib/libpython*.a' --exclude="$library/config-*" --exclude='*/idlelib' --exclude='*/tkinter' \
    --exclude='*/lib2to3/tests' "bin/python$version" "$library" $(cd "$prefix" && compgen -G "lib/libpython$version*.so*" || true) \
  | tar -C "$root/usr/local" -xf -
ln -s "python$version" "$root/usr/local/bin/python3"
ln -s python3 "$root/usr/local/bin/python"

cp "$(command -v busybox)" "$root/bin/busybox"
for applet in $("$root/bin/busybox" --list); do [ "$applet" = busybox ] || ln -sf busybox "$root/bin/$applet"; done
ln -s ../../bin/busybox "$root/usr/bin/env"

# Shared libraries: what the interpreter and its modules name, and all that glibc and the compiler ship, which wheels name.
copy() { mkdir -p "$root$(dirname "$1")"; cp -L "$1" "$root$1"; }
{ ldd "$prefix/bin/python$version"; for module in "$prefix/$library"/lib-dynload/*.so; do
    case $module in *_tkinter*) ;; *) ldd "$module" ;; esac; done; } \
  | awk '/=> \//{print $3} /^\t\/lib/{print $1}' | sort -u | grep -v "^$prefix/lib/libpython" | while read -r file; do copy "$file"; done
dpkg -L libc6 libgcc-s1 libstdc++6 | grep -E '^(/usr)?/lib(64)?/.*\.so(\.[0-9]+)*$' | grep -v gconv | while read -r file; do copy "$file"; done
printf '/usr/local/lib\n/lib/%s\n/usr/lib/%s\n' "$(uname -m)-linux-gnu" "$(uname -m)-linux-gnu" > "$root/etc/ld.so.conf"
ldconfig -r "$root" 2> /dev/null

printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' > "$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' > "$root/etc/group"
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
printf '[global]\nno-index = true\nfind-links = /wheels\ndisable-pip-version-check = true\nroot-user-action = ignore\n' \
  > "$root/etc/pip.conf"
mkdir -p "$root/usr/local/$library/site-packages"
requirements=$(dirname "$0")/../../batch_jobs
for part in "" -compiler -images; do
  "$python" -m pip download --quiet --no-deps --require-hashes --only-binary=:all: --dest "$root/wheels" \
    -r "$requirements/requirements$part.txt"
done
cp -R "$pip" "$root/usr/local/$library/site-packages/pip"
find "$root" -name __pycache__ -prune -exec rm -rf {} +

tar -C "$root" -c . | docker import -c 'ENV PATH=/usr/local/bin:/usr/bin:/bin' - "$name" > /dev/null
rm -rf "$root"
echo "$name"
