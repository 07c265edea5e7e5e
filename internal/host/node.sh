#!/bin/sh
# reconciler-node: all that the reconciler does on a Linux host with systemd.
#
# It is called as one fixed verb with checked arguments, by `sudo -n`. The line
# that an operator grants is
#
#   reconciler ALL=(root) NOPASSWD: /usr/local/libexec/reconciler-node
#
# What only reads is called as VERB ARGUMENTS, what changes the host or its
# Vault as VERB EPOCH HOLDER OP ARGUMENTS. Contents and secrets come on standard
# input, never as arguments, which everybody on the host can see. Nothing that
# comes in is ever run, or read by a shell a second time.
#
# A file /etc/reconciler-node/allow narrows what may be touched, by lines such
# as "root /opt/vault", "service vault", "user vault". A file
# /etc/reconciler-node/hold keeps every change away until a person removes it.
#
# Exit codes: 64 the call is wrong, 65 the content is, 75 another call runs,
# 76 fenced off by a newer epoch or another holder, 77 not allowed on this host,
# 79 held by a person: with all of these nothing was done. Any other failure
# means that somebody has to look.
set -efu
umask 077
export LC_ALL=C TZ=UTC
PROTOCOL=1

# Tests run this below a folder of their own. Never as root: whoever can write
# the environment of a program (a unit's EnvironmentFile, say) is not root yet.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
ROOT=''
if [ -n "${RECONCILER_NODE_ROOT-}" ] && [ "$(id -u)" != 0 ]; then
	ROOT=$RECONCILER_NODE_ROOT
	PATH=$ROOT/shims:$ROOT/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
fi

SELF=$ROOT/usr/local/libexec/reconciler-node
CONF=$ROOT/etc/reconciler-node
STATE=$ROOT/var/lib/reconciler-node
STARTED=$ROOT/run/reconciler-node/started
VERSIONS=$ROOT/opt/vault/versions
GENERATIONS=$ROOT/opt/vault/generations

touched='' # set once something was done that a refusal could not take back
die() { # CODE TEXT
	code=${touched:-$1}
	shift
	printf 'reconciler-node: %s\n' "$*" >&2
	exit "$code"
}

# ---- What an argument may look like ----

# Paths are absolute and clean, and of characters that mean nothing to a shell,
# to systemd or to a line of text. So lists of them are words.
is_path() {
	case $1 in / | [!/]* | '') return 1 ;; esac
	case $1/ in *[!A-Za-z0-9/._@+:,=-]* | *//* | */./* | */../*) return 1 ;; esac
	[ ${#1} -le 1024 ]
}
is_name() {
	case $1 in '' | [!A-Za-z_]* | *[!A-Za-z0-9._-]*) return 1 ;; esac
	[ ${#1} -le 128 ]
}
is_word() { # holders, operations, nonces, generations
	case $1 in '' | [!A-Za-z0-9]* | *[!A-Za-z0-9._@:-]*) return 1 ;; esac
	[ ${#1} -le 128 ]
}
is_holder() {
	case $1 in '' | *[!A-Za-z0-9._@:/+-]*) return 1 ;; esac
	[ ${#1} -le 256 ]
}
is_number() {
	case $1 in 0) return 0 ;; '' | 0* | *[!0-9]*) return 1 ;; esac
	[ ${#1} -le 18 ]
}
is_version() {
	case $1 in [!0-9]* | *[!A-Za-z0-9.+-]*) return 1 ;; [0-9]*.[0-9]*.[0-9]*) return 0 ;; esac
	return 1
}
is_digest() {
	case $1 in *[!0-9a-f]*) return 1 ;; esac
	[ ${#1} -eq 64 ]
}
is_invocation() {
	case $1 in *[!0-9a-f]*) return 1 ;; esac
	[ ${#1} -eq 32 ]
}
is_mode() {
	case $1 in [02][0-7][0-7][0-7]) return 0 ;; esac
	return 1
}
is_role() {
	case $1 in config | environment | unit | file) return 0 ;; esac
	return 1
}
is_address() {
	case $1 in '' | -* | *[!]A-Za-z0-9.:[_-]*) return 1 ;; esac
	[ ${#1} -le 300 ]
}
is_url() { # plaintext stays on this host
	case $1 in
	https://*) is_address "${1#https://}" ;;
	http://127.0.0.1:* | http://localhost:* | http://\[::1\]:*) is_address "${1#http://}" ;;
	*) return 1 ;;
	esac
}
need() { # KIND VALUE
	"is_$1" "$2" || die 64 "not a $1: $2"
}

# Whoever owns one of these owns the host. They are neither written nor read out.
# Each pattern holds for all below it, too. Of systemd's, a unit may be written.
guarded() {
	if unit_place "$1"; then return 1; fi
	case $1/ in
	/etc/passwd* | /etc/shadow* | /etc/group* | /etc/gshadow* | /etc/sudo* | /etc/pam* | /etc/security/* | /etc/ssh/* | \
		/etc/cron* | /etc/anacron* | /var/spool/cron/* | /var/spool/at/* | /etc/profile* | /etc/environment* | /etc/ld.so* | \
		/etc/nsswitch* | /etc/init* | /etc/rc* | /etc/systemd/* | /usr/local/lib/systemd/* | /usr/lib/systemd/* | \
		/lib/systemd/* | /etc/udev/* | /etc/apt/* | /etc/logrotate* | /etc/polkit* | /etc/dbus-1/* | /etc/tmpfiles.d/* | \
		/etc/modprobe.d/* | /etc/kernel/* | /etc/network/* | /etc/NetworkManager/* | /etc/reconciler-node/* | /root/* | \
		/home/* | /proc/* | /sys/* | /dev/* | /boot/* | /run/* | /var/run/* | /var/lib/reconciler-node/* | \
		/usr/local/libexec/* | /opt/vault/generations/* | /opt/vault/versions/*) return 0 ;;
	esac
	return 1
}
# unit_place PATH: where a unit of ours may lie. Its name is for permit to judge.
unit_place() {
	case $1 in
	*/systemd/system/*/*) return 1 ;;
	/etc/systemd/system/*.service | /usr/local/lib/systemd/system/*.service) return 0 ;;
	esac
	return 1
}

# permit KIND VALUE: the host's own allow file, if it has one, lists it.
permit() {
	[ -f "$CONF/allow" ] || return 0
	while read -r kind value _ || [ -n "$kind" ]; do
		case $kind in
		"$1") ;;
		*) continue ;;
		esac
		case $kind in
		root) case $2/ in "${value%/}"/*) return 0 ;; esac ;;
		*) if [ "$value" = "$2" ]; then return 0; fi ;;
		esac
	done <"$CONF/allow"
	die 77 "$1 $2 is not listed in /etc/reconciler-node/allow of this host"
}
permit_path() {
	if guarded "$1"; then die 77 "$1 is never touched"; fi
	permit root "$1"
}

# ---- Reading ----

# NL is what lines begin after.
NL='
'

# fact KEY VALUE: one line. What is not plain printable text travels as base64,
# so no byte of a file name or of a file can end a line or fake one.
fact() {
	case $2 in
	*[!\ -~]*) printf '%s\t~%s\n' "$1" "$(printf '%s' "$2" | base64 -w 0)" ;;
	*) printf '%s\t=%s\n' "$1" "$2" ;;
	esac
}
# body KEY LIMIT: standard input as one line, cut at LIMIT bytes.
body() { printf '%s\t~%s\n' "$1" "$(head -c "$2" | base64 -w 0)"; }

# hidden PATH: true when this user cannot tell whether it is there.
hidden() {
	d=${1%/*}
	while [ -n "$d" ]; do
		if [ -d "$ROOT$d" ]; then
			[ ! -x "$ROOT$d" ]
			return
		fi
		d=${d%/*}
	done
	return 1
}

# fingerprint PATH: what tells that a large file is still the one that was hashed.
fingerprint() { stat -L -c '%d %i %s %.9Y %.9Z' -- "$1" 2>/dev/null; }

probe() { # NONCE QUESTION=ANSWER…
	set +e
	nonce=$1
	shift
	service='' files='' versions='' users='' groups='' have='' config='' certificate='' data='' audit='' auditor='' peers='' free=''
	for question; do
		answer=${question#*=}
		case $question in
		service=*) need name "$answer" && service=$answer ;;
		file=*) need path "$answer" && files="$files $answer" ;;
		config=*) need path "$answer" && config=$answer files="$files $answer" ;;
		certificate=*) need path "$answer" && certificate=$answer files="$files $answer" ;;
		have=*) need digest "$answer" && have="$have $answer" ;;
		binary=*) need path "$answer" && versions="$versions $answer" ;;
		user=*) need name "$answer" && users="$users $answer" ;;
		group=*) need name "$answer" && groups="$groups $answer" ;;
		data=*) need path "$answer" && data=$answer ;;
		audit=*) need path "$answer" && audit="$audit $answer" ;;
		auditor=*) need name "$answer" && auditor=$answer ;;
		peer=*) need address "$answer" && peers="$peers $answer" ;;
		free=*) need path "$answer" && free="$free $answer" ;;
		*) die 64 "not a question of protocol $PROTOCOL: $question" ;;
		esac
	done
	for p in $config $certificate; do permit_path "$p"; done
	printf 'begin %s %s\n' "$nonce" "$PROTOCOL"
	tell_machine
	# Each list is words of is_name.
	# shellcheck disable=SC2086
	tell_names user passwd $users
	# shellcheck disable=SC2086
	tell_names group group $groups
	tell_files
	[ -z "$service" ] || tell_service
	[ -z "$data" ] || tell_data
	[ -z "$audit" ] || tell_audit
	[ -z "$free" ] || tell_space
	for p in $peers; do tell_peer "$p" & done
	wait
	printf 'end %s\n' "$nonce"
}

tell_machine() {
	[ -z "$ROOT" ] || fact root "$ROOT"
	uid=$(id -u)
	fact uid "$uid"
	read -r id <"$ROOT/etc/machine-id" && fact machine-id "$id"
	boot=/proc/sys/kernel/random/boot_id
	[ ! -f "$ROOT$boot" ] || boot=$ROOT$boot
	read -r id <"$boot" && fact boot-id "$id"
	fact platform "$(uname -sm)"
	fact clock "$(date +%s.%N)"
	[ ! -r "$STATE/epoch" ] || { read -r line <"$STATE/epoch" && fact epoch "$line"; }
	if [ -e "$CONF/hold" ]; then
		fact hold-at "$(stat -L -c %Y "$CONF/hold")"
		if [ -r "$CONF/hold" ]; then body hold 4096 <"$CONF/hold"; else fact hold '(not readable)'; fi
	fi
}

tell_names() { # KIND DATABASE NAME…
	[ $# -gt 2 ] || return 0
	kind=$1
	shift
	got=$NL$(getent "$@")
	shift
	for u; do
		case $got in *"$NL$u:"*) fact "$kind $u" 1 ;; *) fact "$kind $u" 0 ;; esac
	done
}

# tell_files tells of all paths, and of this script, with a handful of processes,
# however many there are.
tell_files() {
	there='' links='' small=''
	[ ! -f "$SELF" ] || small=$SELF
	for p in $files $versions; do
		[ ! -L "$ROOT$p" ] || links="$links $ROOT$p"
		if [ -e "$ROOT$p" ]; then
			there="$there $ROOT$p"
			case " $files " in
			*" $p "*)
				small="$small $ROOT$p"
				[ -d "$ROOT$p" ] || [ -r "$ROOT$p" ] || fact denied "$p"
				;;
			esac
		elif hidden "$p"; then
			fact denied "$p"
		else
			fact "absent $p" ''
		fi
	done
	# What Vault would read beside the configuration if it were given the folder.
	set +f
	for p in "$ROOT${config%/*}"/*.hcl "$ROOT${config%/*}"/*.json; do [ ! -f "$p" ] || fact beside "${p#"$ROOT"}"; done
	set -f
	# Each list is words of is_path.
	# shellcheck disable=SC2086
	[ -z "$there" ] || stat -L -c '%f %U %G %s %.9Y %.9Z %d %i %n' -- $there |
		while read -r mode owner group size mtime ctime dev ino p; do
			fact "stat ${p#"$ROOT"}" "$mode $owner $group $size $mtime $ctime $dev $ino"
		done
	# shellcheck disable=SC2086
	[ -z "$links" ] || find $links -maxdepth 0 -type l -printf '%p\0%l\0' | body links 65536
	# shellcheck disable=SC2086
	[ -z "$small" ] || find -L $small -maxdepth 0 -type f -size -1025k -readable -exec sha256sum {} + |
		while read -r digest p; do
			[ "$p" != "$SELF" ] || { fact script "$digest" && continue; }
			fact "sha ${p#"$ROOT"}" "$digest"
			case " $have " in *" $digest "*) continue ;; esac
			case ${p#"$ROOT"} in
			"$config") body "body $digest" 262144 <"$p" ;;
			"$certificate") sed -n '/^-----BEGIN CERTIFICATE-----/,/^-----END CERTIFICATE-----/p' "$p" | body "pem $digest" 65536 ;;
			esac
		done
}

property() { systemctl show "$1.service" -p "$2" 2>/dev/null | sed -n "s/^$2=//p"; } # SERVICE NAME

tell_service() {
	shown=$(systemctl show "$service.service" --no-pager -p LoadState,ActiveState,SubState,Result,UnitFileState,NeedDaemonReload,FragmentPath,DropInPaths,InvocationID,NRestarts,MainPID,ExecMainStartTimestamp)
	pid=''
	while IFS= read -r line; do
		case $line in MainPID=*) pid=${line#*=} ;; esac
		fact "unit ${line%%=*}" "${line#*=}"
	done <<-END
		$shown
	END
	case $pid in '' | 0 | *[!0-9]*) return ;; esac
	if read -r line 2>/dev/null <"/proc/$pid/stat"; then
		# shellcheck disable=SC2086
		set -- ${line##*) } # the name before it may hold anything
		fact ticks "${20} $(sed -n 's/^btime //p' /proc/stat)"
	fi
	if exe=$(fingerprint "/proc/$pid/exe"); then fact exe "$exe"; else fact denied "the executable of process $pid"; fi
	if [ -r "$STARTED/$service/mark" ]; then
		body mark 65536 <"$STARTED/$service/mark"
		digest=$(sha256sum 2>/dev/null <"$STARTED/$service/config") || return
		case " $have " in *" ${digest%% *} "*) return ;; esac
		body "body ${digest%% *}" 262144 <"$STARTED/$service/config"
	fi
}

tell_data() {
	d=$ROOT$data
	if [ ! -d "$d" ]; then
		if hidden "$data"; then fact denied "$data"; else fact data absent; fi
		return
	fi
	# A node-id and empty folders are what a Vault that never joined leaves
	# behind, lost+found what mkfs does. All else is data, also what we do not know.
	if used=$(find "$d/" -mindepth 1 ! -type d ! -path "$d/node-id" -print -quit 2>/dev/null); then
		if [ -n "$used" ]; then fact data used; else fact data empty; fi
		if [ -e "$d/raft/peers.json" ]; then fact data-peers 1; else fact data-peers 0; fi
		fact data-device "$(findmnt -n -o UUID,FSTYPE,SOURCE,FSROOT -P -T "$d" 2>/dev/null)"
	else
		fact denied "$data"
	fi
}

# tell_audit asks as Vault's user, without creating anything, and past PAM,
# which would log each time.
tell_audit() {
	if [ "$uid" = 0 ] && [ -z "$ROOT" ]; then
		id -u "$auditor" >/dev/null 2>&1 || return
		set -- setpriv --reuid "$auditor" --regid "$(id -g "$auditor")" --init-groups --
	elif [ -n "$ROOT" ] || [ "$(id -un)" = "$auditor" ]; then
		set --
	else
		fact denied "whether $auditor can append to$audit"
		return
	fi
	# shellcheck disable=SC2016,SC2086
	"$@" sh -c '
		root=$1; shift
		for f; do
			if [ -e "$root$f" ]; then [ -f "$root$f" ] && [ -w "$root$f" ]; else [ -w "$root${f%/*}" ] && [ -x "$root${f%/*}" ]; fi &&
				printf "audit %s\t=1\n" "$f" || printf "audit %s\t=0\n" "$f"
		done' sh "$ROOT" $audit 2>/dev/null
}

# nearest PATH: the folder that it is, or that it would be made in.
nearest() {
	d=$1
	while [ -n "$d" ] && [ ! -d "$ROOT$d" ]; do d=${d%/*}; done
	d=$ROOT${d:-/}
}
tell_space() {
	set --
	for p in $free; do nearest "$p" && set -- "$@" "$d"; done
	rooms=$NL$(stat -f -c '%n %a %S' -- "$@" 2>/dev/null)
	for p in $free; do
		nearest "$p"
		room=${rooms#*"$NL$d "}
		[ "$room" = "$rooms" ] || fact "free $p" "${room%%"$NL"*}"
	done
}

# tell_peer ADDRESS: silence is another thing than a refusal.
tell_peer() {
	host=${1%:*} port=${1##*:}
	host=${host#\[} host=${host%\]}
	if command -v bash >/dev/null; then
		# shellcheck disable=SC2016
		said=$(timeout 2 bash -c 'exec 3<>"/dev/tcp/$1/$2"' reach "$host" "$port" 2>&1) && fact "peer $1" open && return
		case $said in *efused*) fact "peer $1" refused ;; *) fact "peer $1" silent ;; esac
	elif command -v nc >/dev/null; then
		said=$(nc -z -v -w 2 "$host" "$port" 2>&1) && fact "peer $1" open && return
		case $said in *efused*) fact "peer $1" refused ;; *) fact "peer $1" silent ;; esac
	fi
}

# tell_digests NONCE PATH|pid=N…: sha256 of large files, out of Vault's way. The
# fingerprints before and after tell whether the file stood still.
tell_digests() {
	set +e
	nonce=$1
	shift
	printf 'begin %s %s\n' "$nonce" "$PROTOCOL"
	quiet='nice -n 19'
	! ionice -c3 true 2>/dev/null || quiet='ionice -c3 nice -n 19'
	sum='sha256sum'
	! command -v openssl >/dev/null || sum='openssl dgst -sha256 -r'
	for p; do
		case $p in
		pid=*) need number "${p#pid=}" && f=/proc/${p#pid=}/exe ;;
		*)
			need path "$p"
			case $p in /opt/vault/versions/*) ;; *) permit_path "$p" ;; esac
			f=$ROOT$p
			;;
		esac
		before=$(fingerprint "$f") || continue
		# shellcheck disable=SC2086
		digest=$($quiet $sum <"$f" 2>/dev/null) && [ "$before" = "$(fingerprint "$f")" ] && fact "hash $p" "${digest%% *} $before"
	done
	fact clock "$(date +%s.%N)"
	printf 'end %s\n' "$nonce"
}

# did OP: what is known of an operation, one line per step of it.
did() {
	need word "$1"
	[ ! -f "$STATE/ops/$1" ] || cat "$STATE/ops/$1"
}

case ${1-} in
probe | hash)
	[ $# -ge 2 ] || die 64 "usage: $1 NONCE …"
	need word "$2"
	if [ "$1" = probe ]; then tell=probe; else tell=tell_digests; fi
	shift
	"$tell" "$@"
	exit 0
	;;
did)
	[ $# -eq 2 ] || die 64 'usage: did OP'
	did "$2"
	exit 0
	;;
about)
	printf 'protocol %s\n' "$PROTOCOL"
	exit 0
	;;
esac

# ======== Everything above only reads. Without root it travels alone. ========

# ---- The fence ----

# durable FILE…: on disk before we go on, and so are their names.
durable() {
	for f; do set -- "$@" "${f%/*}"; done
	sync -- "$@" # in this order
}
# replace PATH: standard input becomes its content, at once and durably.
replace() {
	cat >"$1.new"
	mv -fT -- "$1.new" "$1"
	durable "$1"
}
fenced() {
	printf 'fenced %s %s\n' "$1" "$2"
	die 76 "this host obeys epoch $1 of $2; an older epoch or another holder changes nothing (reconciler takeover, once the other one is stopped for good)"
}
# guard VERB EPOCH HOLDER: a lower epoch is a past that has not noticed yet,
# another holder is a second reconciler. Only takeover changes the holder.
guard() {
	seen='' by=''
	if [ -e "$STATE/epoch" ]; then read -r seen by <"$STATE/epoch" || :; fi
	if [ -e "$STATE/epoch" ] && { ! is_number "$seen" || ! is_holder "$by"; }; then
		[ "$1" = takeover ] || die 77 "$STATE/epoch is damaged; reconciler takeover writes it anew"
		seen='' by=''
	fi
	if [ -n "$seen" ]; then
		[ "$2" -ge "$seen" ] || fenced "$seen" "$by"
		case $1 in
		takeover) [ "$2" -gt "$seen" ] || [ "$3" = "$by" ] || fenced "$seen" "$by" ;;
		*) [ "$3" = "$by" ] || fenced "$seen" "$by" ;;
		esac
	fi
	[ "$2 $3" = "$seen $by" ] || printf '%s %s\n' "$2" "$3" | replace "$STATE/epoch"
}
# run FUNCTION VERB EPOCH HOLDER OP ARGUMENTS: one at a time on this host.
run() {
	do=$1 verb=$2
	[ $# -ge 5 ] || die 64 "usage: $verb EPOCH HOLDER OP …"
	need number "$3"
	need holder "$4"
	need word "$5"
	op=$5
	trap '' HUP PIPE # the work outlives the connection that asked for it
	(umask 022 && mkdir -p "$STATE") && mkdir -p "$STATE/ops" "$STATE/init" "$STATE/marks"
	exec 9>>"$STATE/lock"
	flock -w 30 9 || die 75 'another call is at work on this host'
	guard "$verb" "$3" "$4"
	shift 5
	case $verb in
	fence | takeover | install-script | vault-init-result | vault-init-forget) ;;
	*)
		if [ -e "$CONF/hold" ]; then die 79 "a person holds this host: $CONF/hold"; fi
		printf 'started %s %s\n' "$verb" "$(date +%s)" >>"$STATE/ops/$op"
		;;
	esac
	"$do" "$@" 9>&- # no child keeps the lock
	case $verb in
	fence | takeover) find "$STATE/ops" -type f -mtime +30 -delete ;;
	*) printf 'done %s %s\n' "$verb" "$(date +%s)" >>"$STATE/ops/$op" ;;
	esac
}
verb_fence() { [ $# -eq 0 ] || die 64 'usage: fence EPOCH HOLDER OP'; }

# install-script SHA256, itself on standard input. It is this very text that
# runs, so a script that cannot run does not get installed.
verb_install_script() {
	[ $# -eq 1 ] || die 64 'usage: install-script EPOCH HOLDER OP SHA256'
	need digest "$1"
	(umask 022 && mkdir -p "${SELF%/*}")
	new=$(mktemp "${SELF%/*}/.reconciler-node.XXXXXX")
	trap 'rm -f -- "$new"' EXIT
	cat >"$new"
	check "$1" "$new"
	chmod 0755 "$new"
	sync -- "$new"
	mv -fT -- "$new" "$SELF"
	sync -- "${SELF%/*}"
	trap - EXIT
}

# ---- Accounts, folders, binaries ----

check() { # SHA256 FILE
	sum=$(sha256sum <"$2")
	[ "${sum%% *}" = "$1" ] || die 65 "what arrived is not what was sent: its sha256 is ${sum%% *}, not $1"
}
# inside PATH: the folder it lies in is, links followed, nowhere that is guarded.
inside() {
	permit_path "$1"
	real=$(readlink -m -- "$ROOT${1%/*}")/${1##*/}
	real=${real#"$ROOT"}
	# A unit is reached by its own name, never through a link that leads to it.
	if guarded "$real" || { [ "$real" != "$1" ] && unit_place "$real"; }; then
		die 77 "$1 leads to $real, where nothing is ever touched"
	fi
}
# owner OWNER GROUP
owner() {
	need name "$1"
	need name "$2"
	permit user "$1"
}

verb_account() { # USER GROUP
	[ $# -eq 2 ] || die 64 'usage: account EPOCH HOLDER OP USER GROUP'
	owner "$1" "$2"
	getent group "$2" >/dev/null || groupadd --system "$2"
	getent passwd "$1" >/dev/null ||
		useradd --system --gid "$2" --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$1"
}

verb_folder() { # PATH OWNER GROUP MODE…
	if [ $# -lt 4 ] || [ $(($# % 4)) -ne 0 ]; then die 64 'usage: folder EPOCH HOLDER OP (PATH OWNER GROUP MODE)…'; fi
	while [ $# -gt 0 ]; do
		need path "$1"
		owner "$2" "$3"
		need mode "$4"
		inside "$1"
		if unit_place "$1"; then die 77 "$1 is no place for a folder"; fi
		[ ! -L "$ROOT$1" ] || die 65 "$1 is a link; its owner and mode are a person's to set"
		touched=1
		(umask 022 && mkdir -p "$ROOT${1%/*}")
		[ -d "$ROOT$1" ] || mkdir "$ROOT$1"
		chown -h "$2:$3" "$ROOT$1"
		chmod "$4" "$ROOT$1"
		sync -- "$ROOT${1%/*}"
		shift 4
	done
}

verb_binary() { # VERSION SHA256, the binary on standard input
	[ $# -eq 2 ] || die 64 'usage: binary EPOCH HOLDER OP VERSION SHA256'
	need version "$1"
	need digest "$2"
	permit root /opt/vault/versions
	folder=$VERSIONS/$1
	(umask 022 && mkdir -p "$folder")
	find "$folder" -name '.vault.*' -delete # what an earlier call left behind
	new=$(mktemp "$folder/.vault.XXXXXX")
	trap 'rm -f -- "$new"' EXIT
	cat >"$new"
	check "$2" "$new"
	chmod 0755 "$new"
	said=$(cd / && env -i PATH="$PATH" HOME=/nonexistent ${ROOT:+RECONCILER_NODE_ROOT="$ROOT"} "$new" version) || die 65 "it does not run here: vault version failed"
	case "$said " in
	"Vault v$1 "* | "Vault v$1,"*) ;; # a build of one's own names no commit
	*) die 65 "it says that it is $said, not Vault v$1" ;;
	esac
	capable "$folder/vault" "$new"
	sync -- "$new"
	mv -fT -- "$new" "$folder/vault"
	durable "$folder/vault" "$folder"
	trap - EXIT
}

# ---- Generations ----
#
# A generation is a folder with the whole of what we keep on this host. It is
# filled beside its place, and goes live by one link: each path that is ours is a
# link through generations/current. So a half-written configuration is never at a
# live path, where the next SIGHUP of anybody would make Vault read it.
# The unit is a file of its own: systemd reads it before /opt may be mounted, and
# `systemctl disable` deletes a unit that is a link.

# stage GEN, on standard input: "put ROLE MODE OWNER GROUP SHA256 SIZE PATH" and
# SIZE bytes, for each file; "end COUNT".
verb_stage() {
	[ $# -eq 1 ] || die 64 'usage: stage EPOCH HOLDER OP GEN'
	need word "$1"
	if [ -d "$GENERATIONS/$1" ]; then # its answer was lost, and it went live
		cat >/dev/null
		return
	fi
	(umask 022 && mkdir -p "$GENERATIONS")
	find "$GENERATIONS" -mindepth 1 -maxdepth 1 -name '*.new' -exec rm -rf {} +
	new=$GENERATIONS/$1.new
	trap 'rm -rf -- "$new"' EXIT
	mkdir "$new" # for root alone, until it goes live
	: >"$new/list"
	count=0
	while read -r word role mode owner group digest size path; do
		case $word in
		put) stage_file "$role" "$mode" "$owner" "$group" "$digest" "$size" "$path" ;;
		end) break ;;
		*) die 65 'the stream of files is not one' ;;
		esac
		count=$((count + 1))
	done
	[ "$word $role" = "end $count" ] || die 65 'the stream of files was cut'
	keep_the_rest
	mv -fT -- "$new/list" "$new/manifest"
	find "$new" -exec sync -- {} +
	trap - EXIT
}
stage_file() { # ROLE MODE OWNER GROUP SHA256 SIZE PATH
	need role "$1"
	need mode "$2"
	owner "$3" "$4"
	need digest "$5"
	need number "$6"
	need path "$7"
	inside "$7"
	case $1:$7 in
	unit:*) unit_place "$7" || die 77 "$7 is no place for a unit" ;;
	*:/etc/systemd/* | *:/usr/* | *:/bin/* | *:/sbin/* | *:/lib*) die 77 "$7 is no place for a $1" ;;
	esac
	if [ "$1" = unit ]; then
		unit=${7##*/}
		permit service "${unit%.service}"
	fi
	if [ "$1" = config ] && [ "$6" = 0 ]; then die 65 "$7 would be empty, and Vault dies of that"; fi
	(umask 022 && mkdir -p "$new${7%/*}")
	head -c "$6" >"$new$7"
	check "$5" "$new$7"
	chown "$3:$4" "$new$7"
	chmod "$2" "$new$7"
	printf 'new %s %s\n' "$1" "$7" >>"$new/list"
}
# keep_the_rest carries what the running generation holds and this one does not
# replace, as long as it is still live.
keep_the_rest() {
	[ -f "$GENERATIONS/current/manifest" ] || return 0
	while read -r _ role path; do
		[ ! -e "$new$path" ] || continue
		live "$path" || continue
		(umask 022 && mkdir -p "$new${path%/*}")
		cp -p -- "$GENERATIONS/current$path" "$new$path"
		printf 'kept %s %s\n' "$role" "$path" >>"$new/list"
	done <"$GENERATIONS/current/manifest"
}
live() { [ "$(readlink -- "$ROOT$1" || :)" = "$GENERATIONS/current$1" ]; } # PATH

# point LINK TARGET: at once, whatever was there.
point() {
	rm -f -- "$1.new"
	ln -s -- "$2" "$1.new"
	mv -fT -- "$1.new" "$1"
	sync -- "${1%/*}"
}
# adopt PATH: what a person had put there is kept once, for a way back.
adopt() {
	if [ ! -f "$ROOT$1" ] || [ -L "$ROOT$1" ]; then return; fi
	mkdir -p "$GENERATIONS/adopted${1%/*}"
	keep "$ROOT$1" "$GENERATIONS/adopted$1"
}
# keep FILE COPY: once, and whole.
keep() {
	[ ! -e "$2" ] || return 0
	cp -a -- "$1" "$2.new" # with its file capabilities
	mv -fT -- "$2.new" "$2"
	durable "$2"
}

# flip GEN: it goes live. "-" is none.
flip() {
	[ "$1" != - ] || return 0
	gen=$GENERATIONS/$1
	[ ! -d "$gen.new" ] || mv -T -- "$gen.new" "$gen"
	[ -f "$gen/manifest" ] || die 65 "generation $1 was not staged"
	chmod 0755 "$gen"
	while read -r kind role path; do
		[ "$kind" = new ] || continue
		[ ! -d "$ROOT$path" ] || die 65 "$path is a folder"
		(umask 022 && mkdir -p "$ROOT${path%/*}")
		adopt "$path"
		if [ "$role" = unit ]; then
			cp -p -- "$gen$path" "$ROOT$path.new"
			mv -fT -- "$ROOT$path.new" "$ROOT$path"
			durable "$ROOT$path"
		fi
	done <"$gen/manifest"
	old=$(readlink -- "$GENERATIONS/current" || :)
	point "$GENERATIONS/current" "$1"
	while read -r _ role path; do
		[ "$role" = unit ] || live "$path" || point "$ROOT$path" "$GENERATIONS/current$path"
	done <"$gen/manifest"
	[ "$old" = "$1" ] ||
		find "$GENERATIONS" -mindepth 1 -maxdepth 1 -type d ! -name "$1" ! -name "${old:-$1}" ! -name adopted -exec rm -rf {} +
	# What is not live is for root alone: a mode that somebody had widened, on a
	# key for example, stays as it was on the file of the generation before.
	find "$GENERATIONS" -mindepth 1 -maxdepth 1 -type d ! -name "$1" -exec chmod 0700 {} +
}

# usable VERSION SHA256 LINK: that binary is at LINK already, or can be.
usable() {
	[ "$1" != - ] || return 0
	[ -x "$VERSIONS/$1/vault" ] || same "$2" "$ROOT$3" || die 65 "version $1 is not installed"
}
same() { [ -f "$2" ] && [ "$(sha256sum <"$2" | cut -d' ' -f1)" = "$1" ]; } # SHA256 FILE

# use VERSION SHA256 LINK: LINK leads to that version's binary. A regular file
# that is this binary stays: a person put it there.
use() {
	[ "$1" != - ] || return 0
	want=$VERSIONS/$1/vault
	if [ "$(readlink -- "$ROOT$3" || :)" = "$want" ] || same "$2" "$ROOT$3"; then return; fi
	capable "$ROOT$3" "$want"
	if [ -f "$ROOT$3" ] && [ ! -L "$ROOT$3" ]; then
		(umask 022 && mkdir -p "$VERSIONS/adopted")
		keep "$ROOT$3" "$VERSIONS/adopted/vault"
	fi
	(umask 022 && mkdir -p "$ROOT${3%/*}")
	point "$ROOT$3" "$want"
}
# capable FROM TO: the file capabilities of a binary go over to the one that takes
# its place: without cap_ipc_lock a Vault that locks its memory does not start.
capable() {
	[ -f "$1" ] || return 0
	file=$(readlink -f -- "$1")
	if command -v getcap >/dev/null; then
		can=$(getcap -- "$file" || :)
		can=${can#"$file"} can=${can# =} can=${can# } # "FILE = CAPS" before libcap 2.41
		[ -z "$can" ] || setcap "$can" "$2"
	else # unseen, with what else a file carries so; where none can, there is none
		cp --attributes-only --preserve=xattr -- "$file" "$2" 2>/dev/null || :
	fi
}

# ---- The mark: what the process was started with, or last reloaded ----
#
# started/SERVICE/mark holds "invocation ID" and "file SHA256 PATH" lines, config
# a copy of the configuration. Only a mark of the running invocation counts.
# Which files are marked stands in marks/SERVICE, "ROLE PATH" lines. After a reload
# that did not bring them into force it holds "verdict SECONDS refused|unseen WHY"
# as well, and "untaken SHA256 PATH" lines.

# inputs SERVICE [SINCE]: "file SHA256 PATH" of each as it lies there now; with
# SINCE (seconds) only of those not touched after it.
inputs() {
	[ -f "$STATE/marks/$1" ] || return 0
	while read -r _ path; do
		[ -f "$ROOT$path" ] || continue
		if [ -n "${2-}" ] && [ -n "$(find -L "$ROOT$path" -maxdepth 0 -newermt "@$2" || echo unknown)" ]; then continue; fi
		sum=$(sha256sum <"$ROOT$path")
		printf 'file %s %s\n' "${sum%% *}" "$path"
	done <"$STATE/marks/$1"
}
# put_mark SERVICE INVOCATION, the other lines on standard input.
put_mark() {
	into=$STARTED/$1
	mkdir -p "$into"
	{
		printf 'invocation %s\n' "$2"
		cat
	} >"$into/mark.new"
	while read -r role path; do
		if [ "$role" != config ] || [ ! -f "$ROOT$path" ]; then continue; fi
		sum=$(sha256sum <"$ROOT$path")
		grep -qxF "file ${sum%% *} $path" "$into/mark.new" || continue
		cat "$ROOT$path" >"$into/config.new"
		mv -fT -- "$into/config.new" "$into/config"
	done <"$STATE/marks/$1"
	mv -fT -- "$into/mark.new" "$into/mark"
}
# marked SERVICE INVOCATION: that process has a mark.
marked() { [ -f "$STARTED/$1/mark" ] && grep -qxF "invocation $2" "$STARTED/$1/mark"; }

# infer SERVICE: before we touch anything on a host that was not ours, what can
# still be told of the running process is written down: each file that has not
# been touched since it started.
infer() {
	[ "$(property "$1" MainPID)" != 0 ] || return 0
	invocation=$(property "$1" InvocationID)
	if marked "$1" "$invocation"; then return; fi
	since=$(property "$1" ExecMainStartTimestamp)
	[ -n "$since" ] || return 0
	since=$(date -d "$since" +%s)
	lines=$(inputs "$1" "$since")
	[ -z "$lines" ] || printf '%s\n' "$lines" | put_mark "$1" "$invocation"
}

# mark SERVICE, by the unit's ExecStartPre: systemd starts Vault without us, too.
mark() {
	if [ $# -ne 1 ] || [ -n "${SUDO_UID-}" ]; then die 64 'usage, in a unit: ExecStartPre=+-reconciler-node mark SERVICE'; fi
	need name "$1"
	is_invocation "${INVOCATION_ID-}" || die 64 'systemd names no invocation'
	[ -f "$STATE/marks/$1" ] || return 0
	inputs "$1" | put_mark "$1" "$INVOCATION_ID"
}

# ---- The service ----

begin() { # SERVICE
	before=$(property "$1" InvocationID)
	lines=$(inputs "$1")
	systemctl reset-failed "$1.service" 2>/dev/null || :
	from=$(date +%s)
	said=$(systemctl start "$1.service" 2>&1) || mourn "$1" "$said" "$from"
	now=$(property "$1" InvocationID)
	if [ "$now" = "$before" ] || [ -z "$lines" ]; then return; fi
	printf '%s\n' "$lines" | put_mark "$1" "$now"
}
# mourn SERVICE TEXT SINCE: why a start failed is what the service said last.
# Without that, TEXT of systemctl has to do.
mourn() {
	last=$(last_words "$1" "$3")
	die 1 "$1.service does not start; it said (journalctl -u $1 has it all): ${last:-$2}"
}
# last_words SERVICE SINCE: at most 5 lines and 600 bytes, of plain text, said
# since that second. Nothing that may be a key or a token: PEM, Vault's tokens,
# any long code. The unit tells the lines apart, not the invocation: journald
# finds no invocation for a process that is gone when its line arrives.
last_words() {
	written
	timeout 10 journalctl --quiet --no-pager -o cat -n 50 --since "@$2" "_SYSTEMD_UNIT=$1.service" 2>/dev/null | plain 5 || :
}
# written: the journal is written a little later than things are said.
written() { timeout 10 journalctl --sync 2>/dev/null || :; }
# plain COUNT: of standard input, the last lines that may be shown to people.
plain() {
	head -c 65536 | tr '\t' ' ' | tr -cd '\n -~' |
		sed -E -e '/-----BEGIN/,/-----END/d' -e '/-----END/d' -e '/(^|[^A-Za-z0-9])(hv[sbr]\.|[sbr]\.[A-Za-z0-9_-]{8})/d' \
			-e '/[A-Za-z0-9+=_-]{40}/d' -e '/^[A-Za-z0-9+\/=]{40,}$/d' -e '/AGE-SECRET-KEY/d' -e '/^ *$/d' -e 's/^(.{300}).*/\1.../' |
		tail -n "$1" | tail -c 600
}
# halt SERVICE: cleanly, and until its process is gone: a second Vault on the
# same data would wait for the first one's lock.
halt() {
	pid=$(property "$1" MainPID)
	systemctl stop "$1.service"
	left=600
	while [ "${pid:-0}" != 0 ] && [ -d "/proc/$pid" ]; do
		case $(cut -d' ' -f3 "/proc/$pid/stat" 2>/dev/null) in Z | '') break ;; esac
		left=$((left - 1))
		[ "$left" -gt 0 ] || die 1 "process $pid of $1 is still there after its stop"
		sleep 0.2
	done
}
# reload SERVICE GEN: SIGHUP. What is new in a generation counts as taken up once
# Vault was heard; of all else the mark stays as it was.
reload() {
	now=$(property "$1" InvocationID)
	from=$(cursor "$1")
	if words=$(systemctl reload "$1.service" 2>&1); then
		verdict=$(heard "$1" "$now" "$from")
	else
		verdict="unseen systemd did not do it: $(printf '%s\n' "$words" | plain 1)"
	fi
	[ "$2" = - ] || note_reload "$1" "$now" "$verdict" " $(sed -n 's/^new [a-z]* //p' "$GENERATIONS/$2/manifest" | tr '\n' ' ')"
	[ "$verdict" = taken ] || die 1 "reload of $1.service: ${verdict#* }"
}
# note_reload SERVICE INVOCATION VERDICT PATHS: the mark says what of these the
# process took up, or that it did not.
note_reload() {
	marked "$1" "$2" || return 0
	as=file
	[ "$3" = taken ] || as=untaken
	{
		[ "$as" = file ] || printf 'verdict %s %s\n' "$(date +%s)" "$3"
		inputs "$1" | while read -r _ sum path; do
			case $4 in *" $path "*) printf '%s %s %s\n' "$as" "$sum" "$path" ;; esac
		done
		while read -r word sum path; do
			case $as:$word:$4 in
			file:file:*" $path "*) ;; # replaced by the line above
			*:file:*) printf 'file %s %s\n' "$sum" "$path" ;;
			esac
		done <"$STARTED/$1/mark"
	} | put_mark "$1" "$2"
}

# What became of a reload: systemd hears READY in any case, so only Vault's own
# words tell. It says that it begins, and each thing that it could not use
# (command/server.go, case <-c.SighupCh). With what is REFUSED it would not start
# either. An error that names no part of Vault is one of the reload itself.
BEGAN='^==> Vault reload triggered$'
REFUSED='could not reload config|no config found at reload time|unknown log level found on reload|error reloading seal config|error encountered reloading listener'
COMPLAINED='error reloading raft config|\[ERROR\] ([^:]* |[^: ]+$)|"@level":"error","@message":"([^"\\]|\\.)*","@timestamp"'

# said SERVICE CURSOR: what it said since then. Each line may be anything.
said() {
	since=${2#-}
	timeout 20 journalctl --quiet --no-pager -o cat ${since:+--after-cursor "$since"} "_SYSTEMD_UNIT=$1.service" 2>/dev/null || :
}
# cursor SERVICE: where what it said ends now, "-" where no line of it is left, and
# nothing where the journal cannot be read. It is a cursor of the unit: after one
# of another unit journalctl leaves out the first line that matches (systemd 252).
cursor() {
	written
	ends=$(timeout 20 journalctl --quiet --no-pager -o cat -n 1 --show-cursor "_SYSTEMD_UNIT=$1.service" 2>/dev/null |
		sed -n 's/^-- cursor: \([A-Za-z0-9=;]*\)$/\1/p' | tail -n 1)
	if [ -z "$ends" ] && [ -n "$(timeout 20 journalctl --quiet --no-pager -o cat -n 1 2>/dev/null)" ]; then ends=-; fi
	printf '%s\n' "$ends"
}
# heard SERVICE INVOCATION CURSOR: "taken", "refused WHY" or "unseen WHY".
heard() {
	[ -n "$3" ] || { echo "unseen the journal of $1.service cannot be read, so what Vault made of it is not known" && return; }
	began='' until=$(($(date +%s) + 60))
	while :; do
		[ "$(property "$1" InvocationID)" = "$2" ] || { echo "unseen Vault ended meanwhile (journalctl -u $1 has why)" && return; }
		# After the words comes the notice to systemd, a moment later: look once more.
		if [ -n "$began" ] && [ "$(property "$1" ActiveState)" = active ]; then break; fi
		[ "$(date +%s)" -lt "$until" ] || { echo "unseen Vault did not say that it ${began:-began to reload} within 60 s" && return; }
		sleep 0.2
		written
		[ -z "$began" ] || continue
		if [ "$(said "$1" "$3" | grep -acE "$BEGAN" || :)" != 0 ]; then
			began='was done'
			sleep 0.2
		fi
	done
	written
	for found in refused:"$REFUSED" unseen:"$COMPLAINED"; do
		line=$(said "$1" "$3" | sed "0,/$BEGAN/d" | grep -aE "${found#*:}" | tail -n 1 || :)
		if [ -n "$line" ]; then
			words=$(printf '%s\n' "$line" | plain 1)
			echo "${found%%:*} Vault did not take it up; it said (journalctl -u $1 has it all): ${words:-what is not shown here}"
			return
		fi
	done
	echo taken
}
# fresh_unit SERVICE GEN: systemd knows the unit that lies on disk.
fresh_unit() {
	if [ "$(property "$1" NeedDaemonReload)" = yes ] || [ "$(property "$1" LoadState)" != loaded ] || grep -qs '^new unit ' "$GENERATIONS/$2/manifest"; then
		systemctl daemon-reload
	fi
}

# activate GEN VERSION SHA256 LINK ACTION SERVICE: what was staged goes live in
# the same step that makes Vault read it. GEN may be "-", and VERSION with its
# digest. On standard input the "ROLE PATH" lines of what Vault reads.
verb_activate() {
	[ $# -eq 6 ] || die 64 'usage: activate EPOCH HOLDER OP GEN VERSION SHA256 LINK none|start|reload|restart SERVICE'
	if [ "$1" != - ]; then
		need word "$1"
		[ -f "$GENERATIONS/$1/manifest" ] || [ -f "$GENERATIONS/$1.new/manifest" ] || die 65 "generation $1 was not staged"
	fi
	need path "$4"
	if [ "$2" != - ]; then
		need version "$2"
		need digest "$3"
		inside "$4"
		usable "$2" "$3" "$4"
	fi
	need name "$6"
	permit service "$6"
	case $5 in none | start | reload | restart) ;; *) die 64 "not an action: $5" ;; esac
	marks=''
	while read -r role path; do
		need role "$role"
		need path "$path"
		marks="$marks$role $path
"
	done
	touched=1
	service=$6
	[ -z "$marks" ] || printf %s "$marks" | replace "$STATE/marks/$service"
	infer "$service"
	if [ "$5" = restart ]; then
		halt "$service"
		trap 'begin "$service" 9>&-' EXIT # whatever happens to the flip, Vault comes back
	fi
	flip "$1"
	use "$2" "$3" "$4"
	fresh_unit "$service" "$1"
	trap - EXIT
	case $5 in
	reload) reload "$service" "$1" ;;
	start | restart) begin "$service" ;;
	esac
}

verb_enable() { # SERVICE
	[ $# -eq 1 ] || die 64 'usage: enable EPOCH HOLDER OP SERVICE'
	need name "$1"
	permit service "$1"
	systemctl enable "$1.service"
}

# ---- Vault, by its own binary on this host ----
#
# Each takes BINARY ADDR CACERT SERVERNAME ("-" for none). Secrets come on
# standard input and go on by standard input; the token is in the environment of
# the children, where only root can see it.

vault_env() { # BINARY ADDR CACERT SERVERNAME
	[ $# -ge 4 ] || die 64 "usage: $verb EPOCH HOLDER OP BINARY ADDR CACERT SERVERNAME …"
	need path "$1"
	need url "$2"
	vault=$ROOT$1
	if [ -z "$ROOT" ] && [ -z "$(find -L "$vault" -maxdepth 0 -type f -user 0 ! -perm /022)" ]; then
		die 77 "$1 must belong to root and be writable by nobody else"
	fi
	for f in $(env | sed -n 's/^\(VAULT_[A-Za-z0-9_]*\)=.*/\1/p'); do unset "$f"; done
	unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
	export HOME="$STATE" VAULT_ADDR="$2" VAULT_MAX_RETRIES=0 VAULT_CLIENT_TIMEOUT=600
	if [ "$3" != - ]; then
		need path "$3"
		export VAULT_CACERT="$ROOT$3"
	fi
	if [ "$4" != - ]; then
		need address "$4"
		export VAULT_TLS_SERVER_NAME="$4"
	fi
}
token() { # from the first line of standard input
	IFS= read -r VAULT_TOKEN || die 65 'no token came'
	case $VAULT_TOKEN in '' | *[!A-Za-z0-9._-]*) die 65 'the token is not one' ;; esac
	export VAULT_TOKEN
}

# vault-init: once for a NONCE, ever. It goes on when the connection is lost, and
# its only answer is on disk before anybody is told. The public key that
# encrypts the answer comes on standard input.
verb_vault_init() { # BINARY NONCE ADDR CACERT SERVERNAME SHARES THRESHOLD
	[ $# -eq 7 ] || die 64 'usage: vault-init EPOCH HOLDER OP BINARY NONCE ADDR CACERT SERVERNAME SHARES THRESHOLD'
	need word "$2"
	need number "$6"
	need number "$7"
	if [ "$6" -lt 1 ] || [ "$6" -gt 255 ] || [ "$7" -lt 1 ] || [ "$7" -gt "$6" ]; then die 64 "no such shares: $7 of $6"; fi
	vault_env "$1" "$3" "$4" "$5"
	file=$STATE/init/$2
	if [ -e "$file.started" ]; then
		init_state "$2"
		return
	fi
	head -c 65536 >"$file.pub"
	[ -s "$file.pub" ] || die 65 'no public key came'
	keys=$file.pub
	left=$6
	while [ "$left" -gt 1 ]; do
		keys=$keys,$file.pub
		left=$((left - 1))
	done
	exec 8>"$file.lock" # held by the child for as long as it lives
	flock -n 8 || die 75 'the same init is at work'
	: >"$file.started"
	durable "$file.pub" "$file.started"
	export VAULT_CLIENT_TIMEOUT=86400
	# shellcheck disable=SC2016
	setsid sh -c '
		code=0
		"$1" operator init -format=json -key-shares="$3" -key-threshold="$4" -pgp-keys="$5" -root-token-pgp-key="$2.pub" \
			>"$2.tmp" 2>"$2.err" || code=$?
		if [ "$code" = 0 ]; then
			sync "$2.tmp"
			mv -fT "$2.tmp" "$2.json"
		fi
		printf "%s\n" "$code" >"$2.rc.new"
		sync "$2.rc.new"
		mv -fT "$2.rc.new" "$2.rc"
		sync "${2%/*}"' init "$vault" "$file" "$6" "$7" "$keys" </dev/null >/dev/null 2>&1 &
	exec 8>&-
	echo running
}
# init_state NONCE: none, running, done and the answer, failed and why, forgotten.
init_state() {
	file=$STATE/init/$1
	if [ ! -e "$file.started" ]; then
		echo none
	elif [ -e "$file.forgotten" ]; then
		echo forgotten
	elif [ -e "$file.rc" ]; then
		read -r code <"$file.rc"
		if [ "$code" = 0 ] && [ -s "$file.json" ]; then
			echo 'done'
			cat "$file.json"
		else
			printf 'failed\nexit code %s\n' "$code"
			head -c 4096 "$file.err"
		fi
	elif flock -n "$file.lock" true; then
		printf 'failed\nits process ended without an answer\n'
		[ ! -e "$file.err" ] || head -c 4096 "$file.err"
	else
		echo running
	fi
}
verb_vault_init_result() { # BINARY NONCE
	[ $# -eq 2 ] || die 64 'usage: vault-init-result EPOCH HOLDER OP BINARY NONCE'
	need word "$2"
	init_state "$2"
}
# vault-init-forget: the answer is safe elsewhere. That it was asked is never forgotten.
verb_vault_init_forget() { # BINARY NONCE
	[ $# -eq 2 ] || die 64 'usage: vault-init-forget EPOCH HOLDER OP BINARY NONCE'
	need word "$2"
	file=$STATE/init/$2
	if [ ! -e "$file.started" ]; then return; fi
	[ -e "$file.rc" ] || die 65 'that init has not ended'
	: >"$file.forgotten"
	durable "$file.forgotten"
	rm -f -- "$file.json" "$file.tmp" "$file.err" "$file.pub"
}

# vault-unseal: one share a line. Progress of others is dropped before, ours
# after a share that does not fit.
verb_vault_unseal() { # BINARY ADDR CACERT SERVERNAME
	vault_env "$@"
	if seal_status >/dev/null; then
		cat >/dev/null
	else
		"$vault" operator unseal -reset >/dev/null
		trap '"$vault" operator unseal -reset >/dev/null' EXIT
		while IFS= read -r share || [ -n "$share" ]; do
			case $share in '' | *[!A-Za-z0-9+/=]*) die 1 'a share is not one' ;; esac
			printf %s "$share" | "$vault" write -format=json sys/unseal key=- >/dev/null
		done
		trap - EXIT
	fi
	seal_status || [ $? -eq 2 ]
}
seal_status() { "$vault" status -format=json; } # 0 open, 2 sealed

verb_vault_audit() { # BINARY ADDR CACERT SERVERNAME PATH, the token and the device's JSON on standard input
	[ $# -eq 5 ] || die 64 'usage: vault-audit EPOCH HOLDER OP BINARY ADDR CACERT SERVERNAME PATH'
	case $5 in '' | /* | */ | *//* | *..* | *[!A-Za-z0-9/._-]*) die 64 "not an audit path: $5" ;; esac
	vault_env "$@"
	token
	"$vault" write "sys/audit/$5" - >/dev/null
}

verb_vault_policy() { # BINARY ADDR CACERT SERVERNAME, the token and the policy on standard input
	vault_env "$@"
	token
	"$vault" policy write reconciler - >/dev/null
}

# vault-approle: as vault-policy, then the way in. A secret that an earlier,
# unheard answer carried is void afterwards.
verb_vault_approle() {
	verb_vault_policy "$@"
	case $("$vault" auth list -format=json) in
	*'"approle/"'*) ;;
	*) "$vault" auth enable approle >/dev/null ;;
	esac
	"$vault" delete auth/approle/role/reconciler >/dev/null
	"$vault" write auth/approle/role/reconciler token_policies=reconciler token_ttl=20m token_max_ttl=1h \
		secret_id_ttl=0 secret_id_num_uses=0 >/dev/null
	role=$("$vault" read -field=role_id auth/approle/role/reconciler/role-id)
	secret=$("$vault" write -f -field=secret_id auth/approle/role/reconciler/secret-id)
	case $role$secret in *[!A-Za-z0-9.-]*) die 1 'the answer of approle is not one' ;; esac
	printf '{"role_id":"%s","secret_id":"%s"}\n' "$role" "$secret"
}

# vault-revoke: of itself, and gone only when Vault says that it does not know it.
verb_vault_revoke() { # BINARY ADDR CACERT SERVERNAME, the token on standard input
	vault_env "$@"
	token
	"$vault" token revoke -self >/dev/null 2>&1 || :
	if said=$("$vault" token lookup 2>&1); then die 1 'the token still works'; fi
	case $said in
	*'Code: 403'*) echo revoked ;;
	*) die 1 'whether the token is gone could not be seen: Vault did not answer with 403' ;;
	esac
}

case ${1-} in
mark)
	shift
	mark "$@"
	;;
fence | takeover) run verb_fence "$@" ;;
install-script) run verb_install_script "$@" ;;
account) run verb_account "$@" ;;
folder) run verb_folder "$@" ;;
binary) run verb_binary "$@" ;;
stage) run verb_stage "$@" ;;
activate) run verb_activate "$@" ;;
enable) run verb_enable "$@" ;;
vault-init) run verb_vault_init "$@" ;;
vault-init-result) run verb_vault_init_result "$@" ;;
vault-init-forget) run verb_vault_init_forget "$@" ;;
vault-unseal) run verb_vault_unseal "$@" ;;
vault-audit) run verb_vault_audit "$@" ;;
vault-policy) run verb_vault_policy "$@" ;;
vault-approle) run verb_vault_approle "$@" ;;
vault-revoke) run verb_vault_revoke "$@" ;;
*) die 64 "no such verb: ${1-}" ;;
esac
