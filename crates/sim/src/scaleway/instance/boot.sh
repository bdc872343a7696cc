# The first process of an instance: it makes a root of its own out of the host's system, becomes the machine's init and
# stays until its standard input ends, which is when the simulator is gone. Everything in its namespaces dies with it.
#
#   boot.sh DISK NAME ADDRESS METADATA
#
# DISK/boot holds what the instance is told (authorized_keys, user-data, meta-data); DISK/fs becomes its root. What is
# written is kept in DISK for the next start. Lines on the standard output that begin with "scw:" are for the simulator.
set -u
disk=$1 name=$2 address=$3 metadata=$4
fs=$disk/fs

die() {
    echo "scw: failed $*"
    exit 1
}

# The host's programs and settings, read-only, with the instance's changes over them.
layer() {
    mkdir -p "$disk/layer/$1/upper" "$disk/layer/$1/work" "$fs/$1"
    mount -t overlay overlay "$fs/$1" \
        -o "lowerdir=/$1,upperdir=$disk/layer/$1/upper,workdir=$disk/layer/$1/work" 2>/dev/null
}

mkdir -p "$fs" "$disk/layer"
mount --bind "$fs" "$fs" || die "to mount its root"
if ! layer usr; then
    # A disk that is itself an overlay cannot carry another one: then the disk is memory, and lasts until power-off.
    mount -t tmpfs tmpfs "$disk/layer" || die "to mount its disk"
    layer usr || die "to lay a disk over /usr"
fi
layer etc || die "to lay a disk over /etc"
layer var || die "to lay a disk over /var"
for link in bin sbin lib lib32 lib64 libx32; do
    if [ -L "/$link" ]; then
        cp -d "/$link" "$fs/$link"
    elif [ -d "/$link" ]; then
        mkdir -p "$fs/$link" && mount --bind "/$link" "$fs/$link" && mount -o remount,bind,ro "$fs/$link"
    fi
done
mkdir -p "$fs/boot" "$fs/home" "$fs/media" "$fs/mnt" "$fs/opt" "$fs/root" "$fs/srv" "$fs/dev" "$fs/proc" "$fs/run" \
    "$fs/sys" "$fs/tmp" "$fs/.host"
chmod 700 "$fs/root"
# No disks of the host, and no settings of its kernel.
mount -t tmpfs -o mode=755 tmpfs "$fs/dev" && mkdir "$fs/dev/pts" "$fs/dev/shm" "$fs/dev/net" || die "to mount /dev"
for node in null zero full random urandom tty fuse net/tun; do
    [ ! -e "/dev/$node" ] || { : >"$fs/dev/$node" && mount --bind "/dev/$node" "$fs/dev/$node"; }
done
mount -t devpts -o newinstance,mode=620,gid=5,ptmxmode=666 devpts "$fs/dev/pts" || die "to mount /dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$fs/dev/shm" || die "to mount /dev/shm"
ln -s pts/ptmx "$fs/dev/ptmx"
ln -s /proc/self/fd "$fs/dev/fd"
for number in 0:stdin 1:stdout 2:stderr; do
    ln -s "/proc/self/fd/${number%:*}" "$fs/dev/${number#*:}"
done
mount --rbind /sys "$fs/sys" && mount -t proc proc "$fs/proc" || die "to mount /sys and /proc"
mount --bind "$fs/proc/sys" "$fs/proc/sys" && mount -o remount,bind,ro "$fs/proc/sys" || die "to close /proc/sys"
# What a machine of its own could set: files of this one alone, laid over the kernel's.
mkdir -p "$disk/settings"
for setting in fs.file-max=65536 vm.swappiness=60 vm.vfs_cache_pressure=100; do
    what=${setting%=*}
    echo "${setting#*=}" >"$disk/settings/$what"
    place=$fs/proc/sys/$(echo "$what" | tr . /)
    mount --bind "$disk/settings/$what" "$place" || die "to have settings of its own"
    ! grep -qxF "$what" "$disk/boot/lacks" || mount -o remount,bind,ro "$place"
done
mount -t tmpfs -o mode=755 tmpfs "$fs/run" && mount -t tmpfs -o mode=1777 tmpfs "$fs/tmp" || die "to mount /run"
mkdir -p "$fs/run/scw" && cp "$disk/boot/"* "$fs/run/scw/" && chmod 700 "$fs/run/scw" || die "to be told what it is"
# What a mirror of packages would have, of what is on this machine.
while read -r program path; do
    mkdir -p "$fs/usr/lib/scw-mirror"
    [ -e "$fs/usr/lib/scw-mirror/$program" ] || cp "$path" "$fs/usr/lib/scw-mirror/$program"
done <"$disk/boot/programs"
cd "$fs" && pivot_root . .host && cd / || die "to enter its root"
umount -l /.host && rmdir /.host || die "to leave the host"

# From here on this is the machine.
hostname "$name"
unset LD_LIBRARY_PATH LD_PRELOAD
export HOME=/root USER=root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export SCW_METADATA_URL=$metadata
halted() {
    trap '' TERM
    kill -TERM -1 2>/dev/null
    # Whoever does not end in this time is killed with the namespace.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        [ "$(ls -d /proc/[0-9]* | wc -l)" -gt 3 ] || break
        sleep 0.1
    done
    exit "$1"
}
trap 'halted 0' TERM
trap 'halted 3' USR1

if [ ! -e /etc/scw/booted ]; then
    mkdir -p /etc/scw
    rm -rf /var/lib/cloud /var/log/* /var/tmp/* /etc/ssh/ssh_host_* /etc/cron.d/* 2>/dev/null
    mkdir -p /var/log /var/tmp
    echo "$name" >/etc/hostname
    printf '127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost\n' "$name" >/etc/hosts
    tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
    # Nothing is fetched from anywhere, and nothing of the host's network is changed.
    cp /run/scw/apt-get.sh /usr/bin/apt-get && chmod 755 /usr/bin/apt-get
    rm -f /usr/sbin/iptables && cp /run/scw/iptables.sh /usr/sbin/iptables && chmod 755 /usr/sbin/iptables
    for tool in ip6tables nft ufw; do
        rm -f "/usr/sbin/$tool"
        printf '#!/bin/sh\necho "%s: this machine shares its network with others" >&2\nexit 1\n' "$tool" >"/usr/sbin/$tool"
        chmod 755 "/usr/sbin/$tool"
    done
    while read -r what; do
        rm -f "/usr/bin/$what" "/usr/sbin/$what" "/usr/lib/scw-mirror/$what"
    done </run/scw/lacks
    # A locked password locks root out of SSH too.
    sed -i 's/^root:!*:/root:*:/; s/^root:!\*/root:*/' /etc/shadow
    cp /run/scw/cloud.cfg /etc/cloud/cloud.cfg
    for how in poweroff:TERM halt:TERM shutdown:TERM reboot:USR1; do
        rm -f "/usr/sbin/${how%:*}"
        printf '#!/bin/sh\n# init is the simulator'"'"'s: told by a signal.\ncase " $* " in *" -r "*) exec kill -USR1 1 ;; esac\nexec kill -%s 1\n' \
            "${how#*:}" >"/usr/sbin/${how%:*}"
        chmod 755 "/usr/sbin/${how%:*}"
    done
    echo "SCW_METADATA_URL=$metadata" >>/etc/environment
    ssh-keygen -q -A || die "to make host keys"
    for key in /etc/ssh/ssh_host_*_key.pub; do
        echo "scw: fingerprint $(ssh-keygen -l -f "$key")"
    done
    : >/etc/scw/booted
fi

# As scw-fetch-ssh-keys does at every boot: what was there is overwritten.
mkdir -p /root/.ssh /run/sshd && chmod 700 /root/.ssh
cp /run/scw/authorized_keys /root/.ssh/authorized_keys && chmod 600 /root/.ssh/authorized_keys
[ ! -e /root/.ssh/instance_keys ] || cat /root/.ssh/instance_keys >>/root/.ssh/authorized_keys
cat >/etc/ssh/sshd_config <<END
ListenAddress $address
Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
HostKey /etc/ssh/ssh_host_ecdsa_key
HostKey /etc/ssh/ssh_host_rsa_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PrintMotd no
AcceptEnv LANG LC_*
SetEnv SCW_METADATA_URL=$metadata
PidFile /run/sshd.pid
Subsystem sftp internal-sftp
END
/usr/sbin/sshd || die "to start sshd"
echo "scw: up"

# cloud-init itself, with what the metadata service would have told its data source.
{
    mkdir -p /var/lib/cloud/seed/nocloud
    cp /run/scw/user-data /run/scw/meta-data /var/lib/cloud/seed/nocloud/
    {
        cloud-init init --local && cloud-init init &&
            cloud-init modules --mode=config && cloud-init modules --mode=final
    } >>/var/log/cloud-init-output.log 2>&1
    echo "scw: cloud-init $?"
} </dev/null &

while read -r order; do
    [ "$order" != poweroff ] || halted 0
done
# The simulator is gone: so is its machine.
exit 0
