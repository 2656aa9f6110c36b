import {
  cannotLock,
  describeHolder,
  type Holder,
  type HostLock,
  LOCK_PREFIX,
  type LockOptions,
  lineStart,
  lockedBy,
  parseHolders,
} from "../agent/lock.ts";
import { VolleyError } from "../core/errors.ts";
import { quote } from "../core/unix/shell.ts";
import { createLineSplitter } from "../system/output.ts";
import { lineWord, type Shells } from "./shell.ts";

/** Options of {@link takeDirectLock}. */
export interface DirectLockOptions extends LockOptions {
  readonly signal: AbortSignal;
  /** True where hosts of one run that are the same account go on beside each other: they wait for each other anyway. */
  readonly isShared?: boolean;
}

type Answer = "taken" | "ended" | "late" | "cancelled";

/** A holder's line has some three hundred characters. */
const MAX_LINE_LENGTH = 64 << 10;
/** For the host's first answer. */
const ANSWER_MS = 30_000;

/**
 * Take the machine's lock for a shell on the host, as `agent/lock.ts` does for a process. The shell lives as long
 * as the connection, and so does the lock. Fails with `LOCKED` or `CANCELLED`.
 */
export async function takeDirectLock(shells: Shells, options: DirectLockOptions): Promise<HostLock> {
  const { run, waitMs, signal, onWait } = options;
  let told = false;
  let holder = "another run";
  let answer: (how: Answer) => void = () => {};
  let timer: NodeJS.Timeout | undefined;
  const limit = (milliseconds: number): void => {
    clearTimeout(timer);
    timer = setTimeout(() => answer("late"), milliseconds);
  };
  const ask = (question: () => void): Promise<Answer> =>
    new Promise((resolve) => {
      answer = resolve;
      question();
    });
  const takeLine = (line: string): void => {
    if (line === "taken") return answer("taken");
    if (!line.startsWith("held ")) return;
    const [found] = parseHolders(line.slice("held ".length));
    if (found !== undefined) holder = describeHolder(found, run);
    if (told) return;
    told = true;
    onWait(`waiting for ${holder}`);
    if (found?.run === run) clearTimeout(timer);
    else limit(waitMs);
  };
  const lines = createLineSplitter(takeLine, { maxLength: MAX_LINE_LENGTH, onTooLong: () => "drop" });
  const onAbort = (): void => answer("cancelled");
  const script = `echo ok; eval ${lineWord(lockScript(options))}`;
  const onBytes = (stream: "stdout" | "stderr", bytes: Buffer): void => {
    if (stream === "stdout") lines.push(bytes);
  };
  const shell = await shells.run(script, onBytes, { holds: true });
  signal.addEventListener("abort", onAbort, { once: true });
  void shell.exit.then(() => answer("ended"));
  const how = await ask(() => {
    limit(ANSWER_MS);
    if (signal.aborted) onAbort();
  });
  clearTimeout(timer);
  if (how === "taken") {
    return {
      lend: async () => shell.write("lend\n"),
      takeTurn: async () => {
        if (!signal.aborted) await ask(() => shell.write("turn\n"));
      },
      release: async () => {
        signal.removeEventListener("abort", onAbort);
        shell.end();
        await shell.exit;
      },
    };
  }
  signal.removeEventListener("abort", onAbort);
  shell.end();
  if (how === "cancelled") throw new VolleyError("CANCELLED", `cancelled while waiting for ${holder}`);
  if (how === "late" && told) throw lockedBy(holder);
  throw cannotLock("nothing can be written in ~/.cache/volley there");
}

/**
 * The shell's part. Its standard input says `lend`, `turn` and which process group to signal; at its end the lock is given back. The waiting script repeats the holder's name, and so notices the end of its reader.
 */
function lockScript({ run, host, controller, isShared = false }: DirectLockOptions): string {
  const mark = isShared ? "" : ',\\"turn\\":true';
  const begin = (fields: Partial<Holder>): string => quote(lineStart(fields));
  return `umask 077; mkdir -p "$HOME/.cache/volley" && cd "$HOME/.cache/volley" || exit 96
boot= m= by= keep=
{ read -r boot </proc/sys/kernel/random/boot_id; read -r m </etc/machine-id; n=$(readlink /proc/self/ns/pid); } 2>/dev/null
case $n in *4026531836?|'') ;; *) n=\${n%?}; boot=$boot.\${n##*[!0-9]};; esac
case $m in *[!0-9a-f]*|'') m=\${boot:-this};; esac
start() { r=; { read -r r </proc/$1/stat; } 2>/dev/null; [ "$r" ] || return 1; set -- \${r##*') '}; case $1 in Z|X) return 1;; esac; shift 19; r=$1; }
start $$
f=${LOCK_PREFIX}$m o=$f.$$-$r
me=${begin({ run, host, controller })}',"pid":'$$',"start":"'$r'","boot":"'$boot'","since":"${new Date().toISOString()}"'
alive() {
case $1 in *"\\"boot\\":\\"$boot\\""*) ;; *) return 1;; esac
p=\${1##*'"pid":'} p=\${p%%[!0-9]*}
[ "$p" ] && start $p || return 1
case $1 in *"\\"start\\":\\"$r\\""*) ;; *) return 1;; esac
}
look() {
by= keep=
{ while IFS= read -r l; do
case $l in "$me"*) continue;; esac
alive "$l" || continue
keep="$keep$l
"
case $l in ${begin({ run })},*) case $l in *'"turn":true}') by=\${by:-$l};; esac;; *) by=$l;; esac
done <$f; } 2>/dev/null
}
change() {
printf '%s}\\n' "$me" >$o || exit 96
if ln $o $f-breaker 2>/dev/null; then
look
w=
case $1 in turn) w="$me${mark}}";; lend) w="$me}" by=;; *) by=;; esac
if [ "$by" ]; then :
elif [ "$keep$w" ]; then { printf %s "$keep"; [ -z "$w" ] || printf '%s\\n' "$w"; } >$o.new && mv -f $o.new $f || { rm -f $o $o.new $f-breaker; exit 96; }
else rm -f $f; fi
rm -f $o $f-breaker
else
rm -f $o
l=x; { IFS= read -r l <$f-breaker; } 2>/dev/null; [ "$l" = x ] || alive "$l" || rm -f $f-breaker
sleep 0.1 2>/dev/null || sleep 1
return 1
fi
}
turn() {
while look; [ "$by" ] || ! change turn || [ "$by" ]; do
[ -z "$by" ] || { echo "held $by" || exit 0; sleep 0.5 2>/dev/null || sleep 1; }
done
echo taken
}
leave() { for i in 1 2 3 4 5; do change leave && break; done; }
trap leave EXIT
trap exit HUP TERM PIPE
turn
while read -r w g; do case $w in lend) change lend || change lend;; turn) turn;; TERM|KILL) kill -$w -$g 2>/dev/null;; esac; done`;
}
