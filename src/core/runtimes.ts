import { hashOf } from "./bundle.ts";
import { quote } from "./unix/shell.ts";

// A runtime is a build of Node that Volley brings to a host that has none: an archive (tar, gzip) under its SHA-256.

/** A processor that Volley has runtimes for, as Node names it. */
export type RuntimeArch = "x64" | "arm64";

/** The facts about a runtime that decide whether a host can use it. */
export interface RuntimeTraits {
  /** SHA-256 of the archive, in hex. */
  readonly id: string;
  readonly arch: RuntimeArch;
  /** Version of Node. */
  readonly version: string;
  /** Bytes of the archive, and of the files in it. */
  readonly bytes: number;
  readonly unpackedBytes: number;
  /** True with a loader and libraries of its own: the host's C library does not matter then. */
  readonly hasLibraries: boolean;
}

/** How a host without a usable Node gets one: sent by Volley, as a package of its distribution, or not at all. */
export type RuntimeMode = (typeof RUNTIME_MODES)[number];

/** The modes, the default first. */
export const RUNTIME_MODES = ["send", "package", "never"] as const;

/** The directory of runtimes on a host, relative to the home of the user who runs them. */
export const RUNTIME_CACHE = ".cache/volley/runtimes";

/** The oldest kernel and C library that Node's builds support (Node's BUILDING.md). */
export const OLDEST_KERNEL = "4.18";
export const OLDEST_GLIBC = "2.28";

/** The name of a runtime's program, within its directory. */
const PROGRAM = "node";
const KEPT_RUNTIMES = 2;

/** The machine names of uname(2), by architecture. */
const MACHINES: Readonly<Record<RuntimeArch, string>> = { x64: "x86_64|amd64", arm64: "aarch64|arm64" };

/** Return the architecture that uname(1) calls by this name; undefined for one without runtimes. */
export function archOfMachine(machine: string): RuntimeArch | undefined {
  const found = Object.entries(MACHINES).find(([, names]) => names.split("|").includes(machine));
  return found?.[0] as RuntimeArch | undefined;
}

/** The word of a script that unpacked a runtime in vain; the reason follows. */
export const UNUSABLE = "volley:unusable";

/** The reasons for which a host cannot use a runtime that it was sent. */
export type UnusableReason = "denied" | "space" | "noexec" | "run";

/** Set `$r` to the directory of runtimes. `directory`: another one than the cache of the user. */
export function runtimeDirectoryScript(directory: string | undefined): string {
  return directory === undefined ? `r="$HOME/${RUNTIME_CACHE}"` : `r=${quote(directory)}`;
}

/**
 * Set VOLLEY_NODE to the runtime that is in `$r` for this machine, unless VOLLEY_NODE is set. Hosts with a Node of their
 * own have no such directory: they start no process here.
 */
export function useRuntimeScript(runtimes: readonly RuntimeTraits[], directory: string | undefined): string {
  if (runtimes.length === 0) return "";
  return `${runtimeDirectoryScript(directory)}
[ -n "$VOLLEY_NODE" ] || ! [ -d "$r" ] || { ${chooseScript(runtimes)}
n="$r/$i/${PROGRAM}"; ! [ -x "$n" ] || ! [ -O "$n" ] || { export VOLLEY_NODE="$n"; touch -c "$r/$i"; }; }`;
}

/** Return the branches of a shell's `case` on a machine's name. `commands` makes those for a runtime. */
export function machineCases<Traits extends Pick<RuntimeTraits, "arch">>(
  runtimes: readonly Traits[],
  commands: (runtime: Traits) => string,
): string {
  return runtimes.map((runtime) => `${MACHINES[runtime.arch]}) ${commands(runtime)};;`).join(" ");
}

/** Set `$i` to the id of the runtime for this machine, or to nothing. */
export function chooseScript(runtimes: readonly RuntimeTraits[]): string {
  return `i=; case $(uname -m) in ${machineCases(runtimes, ({ id }) => `i=${id}`)} esac`;
}

/** Return the name of a runtime's archive while it is sent, below the directory of runtimes. Every run goes on with it. */
export function runtimePart(id: string): string {
  return `.${id}.part`;
}

/**
 * Make the directory `$r` for the runtime `$i`, or say why the runtime would be of no use there: it takes long to send.
 * The reason for which a runtime could not be started is remembered for a day.
 */
export function makeRuntimesScript(directory: string | undefined): string {
  const umask = directory === undefined ? "umask 077; " : "";
  return `(${umask}mkdir -p "$r") 2>/dev/null; k=; [ -O "$r" ] && [ -w "$r" ] || k=denied
find "$r/.$i.unusable" -mtime +0 -exec rm -f {} + 2>/dev/null
[ -n "$k" ] || ! [ -e "$r/.$i.unusable" ] || { k=run; cat "$r/.$i.unusable" >&2; }
t="$r/.try.$$"
[ -n "$k" ] || { printf '#!/bin/sh\n' >"$t" && chmod 700 "$t"; } 2>/dev/null || k=space
[ -n "$k" ] || "$t" 2>/dev/null || k=noexec
rm -f "$t"
[ -z "$k" ] || { echo ${UNUSABLE} "$k"; exit 0; }`;
}

/** The bytes of a block of an archive: an upload that was cut goes on at a block's beginning. */
const BLOCK_BYTES = 64 << 10;

/**
 * Read the archive of a runtime from standard input into `$a`, in the directory `$r`, and set `$i` to its id. `ask` asks
 * for the archive from the byte `$s` on: the bytes before came over an earlier connection. A cut leaves the part for
 * the next connection, a full disk removes it. Scripts that read the same archive at a time write the same bytes.
 */
export function receiveRuntimeScript({ id, bytes }: RuntimeTraits, ask: string): string {
  const size = '$(wc -c 2>/dev/null <"$a")';
  return `i=${id} a="$r/${runtimePart(id)}"
[ -x "$r/$i/${PROGRAM}" ] || {
s=${size}; s=$((\${s:-0} / ${BLOCK_BYTES} * ${BLOCK_BYTES}))
[ "$s" -le ${bytes} ] || { rm -f "$a"; s=0; }
${ask}
(umask 077; head -c $((${bytes} - s)) | dd of="$a" bs=${BLOCK_BYTES} seek=$((s / ${BLOCK_BYTES})) conv=notrunc 2>/dev/null) || { rm -f "$a"; echo ${UNUSABLE} space; exit 0; }
s=${size}; [ "$((\${s:-0}))" -ge ${bytes} ] || [ -x "$r/$i/${PROGRAM}" ] || exit 1
}`;
}

/** Shell commands for the faults of {@link unpackRuntimeScript}; they end the shell, or the subshell. */
export interface UnpackFaults {
  readonly damaged: string;
  /** `reason` is a word of the shell that stands for an {@link UnusableReason}; `$e` is what Node said. */
  unusable(reason: string): string;
}

/** Tell the controller of a fault. `damaged` is the word of a file that did not arrive whole. */
export function answerFaults(damaged: string): UnpackFaults {
  return {
    damaged: `echo ${damaged}; exit 0`,
    unusable: (reason) =>
      `[ ${reason} != run ] || echo "$e" >"$r/.$i.unusable"; echo "$e" >&2; echo ${UNUSABLE} ${reason}; exit 0`,
  };
}

/**
 * Unpack the archive `$a` to `$r/$i`, and set `$n` to its program. The archive is verified first, and the
 * program is tried where it will stay, before it gets its name: by the host's own C library, else by the runtime's.
 * Another script may unpack the same archive, and remove it, at any time: its runtime is taken then.
 * Runtimes used least recently are removed, except those that a process runs.
 */
export function unpackRuntimeScript({ damaged, unusable }: UnpackFaults): string {
  return `n="$r/$i/${PROGRAM}" e=
[ -x "$n" ] || {
case $(${hashOf('"$a"')}) in "$i"*) ;; *) [ -x "$n" ] || { rm -f "$a"; ${damaged}; };; esac
u="$r/.$i.$$.tmp"; rm -rf "$u"
(umask 077; mkdir "$u" && gzip -dc "$a" | tar -xf - -C "$u") && chmod 700 "$u" && [ -e "$u/LICENSE" ] || { rm -rf "$u"; [ -x "$n" ] || { rm -f "$a"; ${unusable("space")}; }; }
if [ -x "$n" ]; then rm -rf "$u"
elif e=$("$u/bin/node" -v 2>&1); then mv "$u/bin/node" "$u/${PROGRAM}"
elif [ -e "$u/lib/ld.so" ] && e=$("$u/lib/ld.so" --library-path "$u/lib" "$u/bin/node" -v 2>&1); then printf '#!/bin/sh\nd=\${0%%/*}\nexec "$d/lib/ld.so" --library-path "$d/lib" "$d/bin/node" "$@"\n' >"$u/${PROGRAM}"; chmod 700 "$u/${PROGRAM}"
else printf '#!/bin/sh\n' >"$u/${PROGRAM}"; chmod 700 "$u/${PROGRAM}"; k=run; "$u/${PROGRAM}" 2>/dev/null || k=noexec; rm -rf "$u" "$a"; ${unusable("$k")}
fi
! [ -d "$u" ] || mv "$u" "$r/$i" && rm -rf "$r/$i/.$i.$$.tmp" "$a"
ls -td "$r"/*/ | grep -E '/[0-9a-f]{64}/$' | tail -n +${KEPT_RUNTIMES + 1} | while read -r o; do ls -l /proc/[0-9]*/exe 2>/dev/null | grep -qF " $o" || rm -rf "$o"; done
find "$r" -mindepth 1 -maxdepth 1 -name ".????????????????????????????????????????????????????????????????.*" -mtime +1 -exec rm -rf {} + 2>/dev/null
}`;
}

/** A host without a usable Node, as its launch script describes it. */
export interface BareHost {
  /** The machine's name, of uname(1). */
  readonly machine: string;
  readonly kernel: string;
  /** `glibc-2.36`, `musl`, or empty where it cannot be told. */
  readonly libc: string;
  /** Free room where runtimes are kept, in KiB; undefined where it cannot be told. */
  readonly freeKib: number | undefined;
  /** True when the bundle is there already. */
  readonly hasBundle: boolean;
}

/** Print what {@link parseBareHost} reads, behind a word. `$w` is `absent` where the bundle is missing. */
export const DESCRIBE_SCRIPT = `d=$r; while ! [ -d "$d" ]; do d=\${d%/*}; [ -n "$d" ] || d=/; done; l=$(getconf GNU_LIBC_VERSION 2>/dev/null | tr ' ' -); [ -n "$l" ] || { ls /lib/ld-musl-* >/dev/null 2>&1 && l=musl; }; s=$(df -Pk "$d" 2>/dev/null | tail -n 1 | { read -r _ _ _ s _; echo "$s"; }); `;

/** The words behind `volley:nonode` that {@link DESCRIBE_SCRIPT} has set. */
export const DESCRIPTION = `$(uname -m) $(uname -r) \${l:--} \${s:--} \${w:--}`;

/** Read the description of a host without a usable Node; undefined when it is none. */
export function parseBareHost(words: readonly string[]): BareHost | undefined {
  const [machine, kernel, libc, free, bundle] = words;
  if (machine === undefined || kernel === undefined || bundle === undefined) return undefined;
  return {
    machine,
    kernel,
    libc: libc === "-" ? "" : libc!,
    freeKib: /^\d+$/.test(free ?? "") ? Number(free) : undefined,
    hasBundle: bundle !== "absent",
  };
}

/** Room that is left free beside a runtime, in KiB. */
const SPARE_KIB = 16 << 10;

/** The runtime for a host, or the reason why there is none for it. */
export type RuntimeChoice =
  | { readonly runtime: RuntimeTraits }
  | { readonly why: string /** The remedy. */; readonly hint: string };

/** Choose the runtime for a host. `fetch` is the command that would bring one, for messages. */
export function chooseRuntime(
  runtimes: readonly RuntimeTraits[],
  { machine, kernel, libc, freeKib }: BareHost,
): RuntimeChoice {
  const arch = archOfMachine(machine);
  if (arch === undefined)
    return {
      why: `there is no runtime for its architecture, ${machine}`,
      hint: `install Node 18 or newer on it`,
    };
  if (isOlder(kernel, OLDEST_KERNEL))
    return {
      why: `its kernel, ${kernel}, is older than ${OLDEST_KERNEL}, which Node needs`,
      hint: "install a Node made for it: 18 or newer",
    };
  const fits = runtimes.filter((each) => each.arch === arch);
  if (fits.length === 0)
    return {
      why: `no runtime for ${arch} was fetched`,
      hint: `volley runtime fetch --arch ${arch}: runs then send one, once`,
    };
  const runtime = fits.find(({ hasLibraries }) => hasLibraries || !isTooOld(libc));
  if (runtime === undefined) {
    const what =
      libc === "musl"
        ? "its C library is musl"
        : `its C library, ${libc.replace("-", " ")}, is older than ${OLDEST_GLIBC}`;
    return {
      why: `${what}, which the runtime here cannot use`,
      hint: `volley runtime fetch --arch ${arch} --libc musl: a runtime with libraries of its own`,
    };
  }
  const neededKib = Math.ceil((runtime.bytes + runtime.unpackedBytes) / 1024) + SPARE_KIB;
  if (freeKib !== undefined && freeKib < neededKib)
    return {
      why: `Node needs ${neededKib >> 10} MiB there, of which ${freeKib >> 10} MiB are free`,
      hint: "make room, or name another directory with volley_runtime_dir",
    };
  return { runtime };
}

/** True for a C library that Node's own builds cannot use; a library that cannot be told may do. */
function isTooOld(libc: string): boolean {
  return libc === "musl" || (libc.startsWith("glibc-") && isOlder(libc.slice("glibc-".length), OLDEST_GLIBC));
}

function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split(/[^\d]+/).map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = than.split(".").map(Number);
  return major < wantedMajor || (major === wantedMajor && minor < wantedMinor);
}
