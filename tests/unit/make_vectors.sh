#!/bin/bash
# Makes the golden vectors in tests/unit/data with a real mariadbd: pages of every format that the installed
# server can write, extent descriptors with the free pages that innochecksum sees, and redo logs of a server
# that was killed. Run by hand, as root, when a format is added; the vectors are committed.
#
#   tests/unit/make_vectors.sh [output directory]
#
# Servers are private: own data directory under a temporary one, Unix socket, no network.
# The format of a .vec file is described in vectors.h, which reads it.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/data}
work=$(mktemp -d /tmp/gbvec.XXXXXX)
server=
mkdir -p "$out"

stop_hard() {
    if [ -n "$server" ]; then
        kill -9 "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
        server=
    fi
}
trap 'stop_hard; rm -rf "$work"' EXIT

sql() {
    mariadb --no-defaults -uroot -S "$data/s" -N -B -e "$1"
}

# start NAME [server option ...]: a server on its own directory, made if it is not there. Without the mysql
# schema: nothing but the test's own statements reaches the redo log.
start() {
    data=$work/$1
    shift
    mkdir -p "$data"
    printf '1;%s\n' 770A8A65DA156D24EE2A093277530142 >"$work/keys"
    mariadbd --no-defaults --user=root --datadir="$data" --socket="$data/s" --pid-file="$data/pid" \
        --skip-networking --skip-grant-tables --innodb-buffer-pool-size=32M --innodb-log-file-size=8M \
        --innodb-stats-persistent=OFF --innodb-fast-shutdown=0 --innodb-buffer-pool-dump-at-shutdown=OFF \
        --innodb-data-file-path=ibdata1:12M:autoextend --innodb-flush-log-at-trx-commit=1 \
        --plugin-load-add=file_key_management --file-key-management-filename="$work/keys" \
        --innodb-encryption-threads=0 --log-error="$data/log.err" "$@" &
    server=$!
    for _ in $(seq 300); do
        if sql 'SELECT 1' >/dev/null 2>&1; then
            return
        fi
        if ! kill -0 "$server" 2>/dev/null; then
            break
        fi
        sleep 0.1
    done
    tail -20 "$data/log.err" >&2
    exit 1
}

stop() {
    sql SHUTDOWN
    wait "$server"
    server=
}

# pack OUT FILE ITEM...: blocks of FILE. ITEM is page:NUMBER:PAGE_SIZE:VERSION or bytes:OFFSET:SIZE.
pack() {
    python3 - "$@" <<'PY'
import os, struct, sys

def runs(data):
    """Literal bytes and runs: u16 count of literals, the literals, u16 count of repeats, the byte repeated."""
    out, at = b"", 0
    while at < len(data):
        start = at
        while at < len(data) and at - start < 60000 and not (
                at + 8 <= len(data) and data[at:at + 8] == data[at:at + 1] * 8):
            at += 1
        literal = data[start:at]
        end = at
        while end < len(data) and data[end] == data[at] and end - at < 60000:
            end += 1
        repeat = end - at if at < len(data) and data[at:at + 8] == data[at:at + 1] * 8 else 0
        out += struct.pack(">H", len(literal)) + literal
        out += struct.pack(">HB", repeat, data[at] if repeat else 0)
        at += repeat
    return out

target, source, items = sys.argv[1], sys.argv[2], sys.argv[3:]
blob = b""
with open(source, "rb") as f:
    for item in items:
        kind, *numbers = item.split(":")
        numbers = [int(n) for n in numbers]
        if kind == "page":
            offset, size, version = numbers[0] * numbers[1], numbers[1], numbers[2]
        else:
            offset, size, version = numbers[0], numbers[1], 1
        f.seek(offset)
        data = f.read(size)
        assert len(data) == size, (source, item)
        packed = runs(data)
        blob += struct.pack(">QIII", offset, size, version, len(packed)) + packed
mode = "ab" if os.path.exists(target) else "wb"
with open(target, mode) as f:
    if mode == "wb":
        f.write(b"GBV1" + struct.pack(">Q", os.path.getsize(source)))
    f.write(blob)
PY
}

# free_map OUT FILE: "free FIRST LAST" for pages that innochecksum skips as freed, "used FIRST LAST" for those
# it does not. Pages that were never written are in neither.
free_map() {
    innochecksum -D "$work/all" "$2" >/dev/null
    innochecksum -r -D "$work/used" "$2" >/dev/null
    python3 - "$work/all" "$work/used" >"$1" <<'PY'
import re, sys

def pages(path):
    found = (re.match(r"#::\s*(\d+)\s*\|\s*(.*?)\s*\|", line) for line in open(path))
    return {int(m.group(1)) for m in found if m and m.group(2) != "Freshly allocated page"}

def show(word, numbers):
    ranges = []
    for n in sorted(numbers):
        if ranges and ranges[-1][1] == n - 1:
            ranges[-1][1] = n
        else:
            ranges.append([n, n])
    for first, last in ranges:
        print(word, first, last)

everything, used = (pages(path) for path in sys.argv[1:3])
assert used and everything - used
show("free", everything - used)
show("used", used)
PY
}

# stamp FILE PAGE_SIZE ALGORITHM: replaces the checksums of all pages
stamp() {
    python3 - "$@" <<'PY'
import struct, sys, zlib

def fold(data):
    n = 0
    for byte in data:
        n = ((((n ^ byte ^ 1653893711) << 8) + n) ^ 1463735687) + byte
        n &= 0xffffffff
    return n

path, size, algorithm = sys.argv[1], int(sys.argv[2]), sys.argv[3]
zipped = size < 16384
with open(path, "r+b") as f:
    for at in range(0, len(f.read()), size):
        f.seek(at)
        page = bytearray(f.read(size))
        if not any(page):
            continue
        first = last = 0xdeadbeef
        if algorithm == "adler":
            first = zlib.adler32(page[34:], zlib.adler32(page[24:26], zlib.adler32(page[4:16], 0)))
        elif algorithm == "blank":
            first, last = 0, struct.unpack_from(">I", page, 16)[0]
        elif algorithm == "innodb":
            first = fold(page[4:26]) + fold(page[38:size - 8]) & 0xffffffff
        struct.pack_into(">I", page, 0, first)
        if algorithm == "innodb":
            last = fold(page[0:26])
        if not zipped:
            struct.pack_into(">I", page, size - 8, last)
        f.seek(at)
        f.write(page)
PY
}

small_rows="(1,'one'),(2,'two'),(3,'three')"

# table NAME OPTIONS: a small table whose root page is page 3
table() {
    sql "CREATE TABLE v.$1 (a INT PRIMARY KEY, b VARCHAR(200)) ENGINE=InnoDB $2;
         INSERT INTO v.$1 VALUES $small_rows;"
}

# tables of the formats that exist for a checksum algorithm: suffix, KEY_BLOCK_SIZEs
tables() {
    table "plain_$1" ''
    table "crypt_$1" 'ENCRYPTED=YES'
    table "comp_$1" 'PAGE_COMPRESSED=1'
    table "compcrypt_$1" 'PAGE_COMPRESSED=1 ENCRYPTED=YES'
    sql "CREATE TABLE v.rtree_$1 (a INT PRIMARY KEY, g POINT NOT NULL, SPATIAL INDEX(g)) ENGINE=InnoDB;
         INSERT INTO v.rtree_$1 SELECT seq, POINT(seq,seq) FROM v.seq_1_to_2000;"
    for k in $2; do
        table "zip${k}_$1" "ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=$k"
        table "zipcrypt${k}_$1" "ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=$k ENCRYPTED=YES"
    done
}

page_files() { # page size of the server, first version or second
    local psize=$1 version=$2 file name size pages
    for file in "$data"/v/*_*.ibd; do
        name=$(basename "$file" .ibd)
        size=$psize
        case $name in
        zip*) size=${name#zip}; size=${size#crypt}; size=$((${size%%_*} * 1024)) ;;
        freed*) continue ;;
        esac
        pages="page:3:$size:$version"
        # Page 4 is the root of the spatial index.
        case $name in
        rtree*)
            [ "$version" = 1 ] || continue
            pages="page:4:$size:1"
            ;;
        esac
        [ "$version" = 1 ] && pages="page:0:$size:1 $pages"
        # Large incompressible pages only once
        if [ "$version" = 2 ] && [ "$psize" = 65536 ]; then
            case $name in *crypt*) continue ;; esac
        fi
        pack "$out/$name.$((psize / 1024))k.vec" "$file" $pages
    done
}

change_rows() {
    local t
    for t in $(sql "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA='v'
                    AND TABLE_NAME REGEXP '^(plain|crypt|comp|compcrypt|zip)'"); do
        sql "UPDATE v.$t SET b=CONCAT(b,' again'); INSERT INTO v.$t VALUES (9, REPEAT('x',150));"
    done
}

# A table that lost many pages after they had been written to its file
freed() { # NAME OPTIONS
    sql "CREATE TABLE v.$1 (a INT PRIMARY KEY, b VARCHAR(400), KEY(b)) ENGINE=InnoDB $2;
         INSERT INTO v.$1 SELECT seq, CONCAT(SHA2(seq,512),SHA2(-seq,512),SHA2(seq/7,512)) FROM v.seq_1_to_5000;
         FLUSH TABLES v.$1 FOR EXPORT;
         UNLOCK TABLES;
         ALTER TABLE v.$1 DROP KEY b, ALGORITHM=INPLACE;
         DELETE FROM v.$1 WHERE a % 100 < 50;"
}

# ---- pages ----

rm -f "$out"/*.vec "$out"/*.free "$out"/*.facts

echo "16 KiB pages"
start p16
sql 'CREATE DATABASE v'
tables full ''
freed freed_full ''
sql "SET GLOBAL innodb_checksum_algorithm=crc32"
tables crc '1 2 4 8 16'
freed freed_crc ''
freed freed_zip1 'ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=1'
stop
page_files 16384 1
pack "$out/ibdata1.16k.vec" "$data/ibdata1" page:0:16384:1 page:5:16384:1
for f in full crc; do
    pack "$out/freed_$f.16k.vec" "$data/v/freed_$f.ibd" page:0:16384:1
    free_map "$out/freed_$f.16k.free" "$data/v/freed_$f.ibd"
done
pack "$out/freed_zip1.16k.vec" "$data/v/freed_zip1.ibd" page:{0,1024,2048,3072,4096,5120}:1024:1
free_map "$out/freed_zip1.16k.free" "$data/v/freed_zip1.ibd"
start p16
change_rows
stop
page_files 16384 2

# No server of today writes the checksums that came before CRC-32C. So pages are stamped here, and the server
# itself says whether they are right: it must read the tables.
echo "checksums of older servers"
start p16 --innodb-checksum-algorithm=crc32
for t in innodb none blank; do table "old_$t" ''; done
for t in adler none; do table "oldzip_$t" 'ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8'; done
stop
for t in old_innodb old_none old_blank; do stamp "$data/v/$t.ibd" 16384 "${t#*_}"; done
for t in oldzip_adler oldzip_none; do stamp "$data/v/$t.ibd" 8192 "${t#*_}"; done
start p16 --innodb-checksum-algorithm=crc32
for t in old_innodb old_none old_blank oldzip_adler oldzip_none; do
    sql "CHECK TABLE v.$t EXTENDED" | grep -q "status.*OK"
done
stop
for t in old_innodb old_none old_blank; do
    pack "$out/$t.16k.vec" "$data/v/$t.ibd" page:0:16384:1 page:3:16384:1
done
for t in oldzip_adler oldzip_none; do
    pack "$out/$t.16k.vec" "$data/v/$t.ibd" page:0:8192:1 page:3:8192:1
done

echo "4 KiB pages, all of the older format"
start p4 --innodb-page-size=4k --innodb-checksum-algorithm=crc32
sql 'CREATE DATABASE v'
tables crc '1 2 4'
freed freed_crc ''
stop
page_files 4096 1
pack "$out/ibdata1.4k.vec" "$data/ibdata1" page:0:4096:1 page:5:4096:1
pack "$out/freed_crc.4k.vec" "$data/v/freed_crc.ibd" page:0:4096:1
free_map "$out/freed_crc.4k.free" "$data/v/freed_crc.ibd"
start p4 --innodb-page-size=4k --innodb-checksum-algorithm=crc32
change_rows
stop
page_files 4096 2

echo "64 KiB pages"
start p64 --innodb-page-size=64k --innodb-undo-tablespaces=2
sql 'CREATE DATABASE v'
table plain_full ''
table comp_full 'PAGE_COMPRESSED=1'
table crypt_full 'ENCRYPTED=YES'
freed freed_full ''
stop
page_files 65536 1
pack "$out/ibdata1.64k.vec" "$data/ibdata1" page:0:65536:1 page:5:65536:1
pack "$out/undo001.64k.vec" "$data/undo001" page:0:65536:1
pack "$out/freed_full.64k.vec" "$data/v/freed_full.ibd" page:0:65536:1
free_map "$out/freed_full.64k.free" "$data/v/freed_full.ibd"
start p64 --innodb-page-size=64k --innodb-undo-tablespaces=2
change_rows
stop
page_files 65536 2

# ---- redo ----

# The log of a server killed after these statements: header, and what stands between checkpoint and end.
redo() { # NAME [server option ...]
    local name=$1 lsn
    shift
    start "$name" "$@"
    sql "CREATE DATABASE r; SET GLOBAL innodb_log_checkpoint_now=ON;
         CREATE TABLE r.born (a INT PRIMARY KEY, b TEXT) ENGINE=InnoDB;
         INSERT INTO r.born VALUES (1,'one'),(2,REPEAT('2',300));
         RENAME TABLE r.born TO r.renamed;
         TRUNCATE TABLE r.renamed;
         CREATE TABLE r.dropped (a INT PRIMARY KEY) ENGINE=InnoDB;
         DROP TABLE r.dropped;
         INSERT INTO r.renamed VALUES (3,'three');"
    # The end of the log is known for sure where the server has written all of it.
    for _ in $(seq 100); do
        lsn=$(sql "SELECT IF(COUNT(DISTINCT VARIABLE_VALUE)=1, MAX(VARIABLE_VALUE), '')
                   FROM information_schema.GLOBAL_STATUS
                   WHERE VARIABLE_NAME IN ('INNODB_LSN_CURRENT','INNODB_LSN_FLUSHED')")
        [ -n "$lsn" ] && break
        sql "INSERT INTO r.renamed SELECT MAX(a)+1,'x' FROM r.renamed"
    done
    stop_hard
    python3 - "$data/ib_logfile0" "$lsn" >"$out/$name.facts" <<'PY'
import struct, sys
log = open(sys.argv[1], "rb").read()
first = struct.unpack_from(">Q", log, 8)[0]
c, e = max(struct.unpack_from(">QQ", log, at) for at in (0x1000, 0x2000))
print("first_lsn", first)
print("checkpoint", c)
print("end_lsn", e)
print("lsn_current", sys.argv[2])
PY
    local first c
    first=$(awk '/first_lsn/{print $2}' "$out/$name.facts")
    c=$(awk '/checkpoint/{print $2}' "$out/$name.facts")
    pack "$out/$name.vec" "$data/ib_logfile0" bytes:0:12288 \
        "bytes:$((12288 + c - first)):$((lsn - c + 64))"
}

echo "redo"
redo redo
redo redo_encrypted --innodb-encrypt-log=ON

du -sh "$out"
