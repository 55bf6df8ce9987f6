#!/usr/bin/env bash
# A throw-away S3 server: one Ceph monitor, one in-memory OSD and radosgw on 127.0.0.1, all files in one folder, no systemd.
#
#   scripts/radosgw.sh install                        apt-get install what it needs (Debian, Ubuntu; as root)
#   scripts/radosgw.sh start DIR PORT [OWNER_PID]     prints ENDPOINT, ACCESS_KEY and SECRET_KEY once it answers
#   scripts/radosgw.sh stop DIR
#
# DIR is emptied at start. With OWNER_PID it also stops when that process is gone, so that a killed test leaves nothing.
# Keep DIR short: its sockets' paths end at 107 bytes.
set -euo pipefail

usage() {
  sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

install_packages() {
  apt-get update
  # Without the recommended ceph-mgr: nothing here needs a manager.
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ceph-mon ceph-osd radosgw
}

stop() {
  local dir=$1 file pid left tries
  for file in "$dir"/run/*.pid; do
    [ -f "$file" ] || continue
    pid=$(cat "$file" 2>/dev/null) || continue # its daemon ended, and took the file with it
    [ -n "$pid" ] && kill "$pid" 2>/dev/null || true
  done
  # They hold nothing worth waiting for: what does not go in 5 s is killed.
  for tries in $(seq 1 50); do
    left=""
    for file in "$dir"/run/*.pid; do
      [ -f "$file" ] || continue
      pid=$(cat "$file" 2>/dev/null) || continue
      [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && left="$left $pid"
    done
    [ -z "$left" ] && return 0
    [ "$tries" = 20 ] && kill -9 $left 2>/dev/null || true
    sleep 0.1
  done
}

# Small rings and short paxos waits take the start from 13 s to under 2; tcp_nodelay takes a GET from 45 ms to 3.
write_config() {
  local dir=$1 port=$2 mon_port=$3 fsid=$4
  cat > "$dir/ceph.conf" <<CONF
[global]
fsid = $fsid
keyring = $dir/keyring
mon host = v2:127.0.0.1:$mon_port
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
log file = $dir/log/\$name.log
mon cluster log file = $dir/log/cluster.log
admin socket = $dir/run/\$name.asok
pid file = $dir/run/\$name.pid
run dir = $dir/run
osd objectstore = memstore
memstore device bytes = 2147483648
osd memory target = 939524096
osd max object name len = 1024
osd max object namespace len = 64
osd heartbeat grace = 60
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data avail warn = 1
mon data avail crit = 1
paxos propose interval = 0.02
paxos min wait = 0.01
[mon.a]
mon data = $dir/mon
[osd.0]
osd data = $dir/osd
[client.rgw.a]
rgw data = $dir/rgw
rgw frontends = beast endpoint=127.0.0.1:$port tcp_nodelay=1
rgw dns name = localhost
rgw thread pool size = 32
rgw override bucket index max shards = 1
rgw dynamic resharding = false
rgw num control oids = 1
rgw gc max objs = 4
rgw lc max objs = 4
rgw enable usage log = false
rgw enable ops log = false
rgw enable quota threads = false
CONF
}

start() {
  local dir=$1 port=$2 owner=${3:-} fsid mon_port tries
  command -v radosgw >/dev/null || { echo "radosgw is not installed: run $0 install" >&2; exit 1; }
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  stop "$dir"
  rm -rf "${dir:?}"/*
  mkdir -p "$dir"/{mon,osd,rgw,log,run}
  fsid=$(cat /proc/sys/kernel/random/uuid)
  # The monitor's port has to be known beforehand: one that is free now, below the range the kernel hands out itself.
  for tries in $(seq 1 50); do
    mon_port=$((20000 + RANDOM % 10000))
    (exec 3<>"/dev/tcp/127.0.0.1/$mon_port") 2>/dev/null || break
  done
  write_config "$dir" "$port" "$mon_port" "$fsid"
  exec 4>"$dir/log/start.log"
  export CEPH_CONF=$dir/ceph.conf
  trap 'echo "radosgw did not start; the end of its logs:" >&2; tail -n 5 "$dir"/log/*.log >&2; stop "$dir"' ERR
  {
    monmaptool --create --addv a "[v2:127.0.0.1:$mon_port]" --fsid "$fsid" "$dir/monmap"
    ceph-authtool --create-keyring "$dir/keyring" --gen-key -n mon. --cap mon 'allow *'
    ceph-authtool "$dir/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *'
    ceph-authtool "$dir/keyring" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
    ceph-authtool "$dir/keyring" --gen-key -n client.rgw.a --cap mon 'allow rw' --cap osd 'allow rwx'
    ceph-mon --mkfs -i a --monmap "$dir/monmap" --keyring "$dir/keyring"
    ceph-mon -i a
    ceph-osd -i 0 --mkfs --no-mon-config --osd-uuid "$(cat /proc/sys/kernel/random/uuid)"
    ceph osd new "$(cat "$dir/osd/fsid")" 0
    ceph osd crush add osd.0 1.0 root=default host=localhost
    ceph-osd -i 0
    radosgw -n client.rgw.a
    for tries in $(seq 1 300); do
      (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
      [ "$tries" -lt 300 ]
      sleep 0.1
    done
    radosgw-admin user create --uid=test --display-name=test --access-key=testkey --secret-key=testsecret
  } >&4 2>&4 3>&- </dev/null
  if [ -n "$owner" ]; then
    (while kill -0 "$owner" 2>/dev/null; do sleep 1; done; stop "$dir"; rm -rf "${dir:?}") >/dev/null 2>&1 </dev/null 4>&- &
    echo $! > "$dir/watcher"
  fi
  echo "ENDPOINT=http://127.0.0.1:$port"
  echo "ACCESS_KEY=testkey"
  echo "SECRET_KEY=testsecret"
}

case "${1:-}" in
  install) install_packages ;;
  start) [ $# -ge 3 ] || usage; start "$2" "$3" "${4:-}" ;;
  stop)
    [ $# -eq 2 ] || usage
    [ -f "$2/watcher" ] && kill "$(cat "$2/watcher")" 2>/dev/null || true
    stop "$2"
    ;;
  *) usage ;;
esac
