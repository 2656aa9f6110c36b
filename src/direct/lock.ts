import { VolleyError } from "../core/errors.ts";
import { isRecord } from "../core/json.ts";
import { quote } from "../core/shell-quote.ts";
import { lineWord } from "./line-word.ts";
import type { Shells } from "./shell.ts";

/** How the lock is taken. */
export interface DirectLockOptions {
  readonly run: string;
  /** Who started the run, from where: `ann@laptop`. */
  readonly controller: string;
  /** How long to wait for another run to end. */
  readonly waitMs: number;
  readonly signal: AbortSignal;
  /** Told once, when there is somebody to wait for. */
  readonly onWait: (text: string) => void;
}

/**
 * Takes the same lock that a bundle takes on the host (target/lock.ts), in the name of a shell there that lives as long
 * as the connection: when that goes, the lock does. Gives what releases it. Fails with `LOCKED` or `CANCELLED`.
 */
export async function takeDirectLock(
  shells: Shells,
  options: DirectLockOptions,
): Promise<() => Promise<void>> {
  const { waitMs, signal, onWait } = options;
  let text = "";
  let told = false;
  let holder = "another run";
  let timer = setTimeout(() => settle("late"), ANSWER_MS);
  let settle!: (how: "taken" | "ended" | "late" | "cancelled") => void;
  const settled = new Promise<"taken" | "ended" | "late" | "cancelled">((resolve) => {
    settle = resolve;
  });
  const run = await shells.run(`echo ok; eval ${lineWord(lockScript(options))}`, (stream, bytes) => {
    if (stream !== "stdout") return;
    const lines = (text + bytes.toString("utf8")).split("\n");
    text = lines.pop()!;
    for (const line of lines) {
      if (line === "taken") settle("taken");
      if (!line.startsWith("held ")) continue;
      holder = describeHolder(line.slice("held ".length));
      if (told) continue;
      told = true;
      onWait(`waiting for ${holder}`);
      clearTimeout(timer);
      timer = setTimeout(() => settle("late"), waitMs);
    }
  });
  const onAbort = (): void => settle("cancelled");
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  void run.exit.then(() => settle("ended"));
  const how = await settled;
  clearTimeout(timer);
  signal.removeEventListener("abort", onAbort);
  if (how === "taken") {
    return async () => {
      run.end();
      await run.exit;
    };
  }
  run.end();
  if (how === "cancelled") throw new VolleyError("CANCELLED", `cancelled while waiting for ${holder}`);
  if (how === "late" && told) {
    throw new VolleyError("LOCKED", `the host is being worked on by ${holder}`, {
      hint: "wait for it to end, or end it there",
    });
  }
  throw new VolleyError(
    "LOCKED",
    "the host's lock cannot be taken: nothing can be written in ~/.cache/volley there",
  );
}

/** For the host's first answer. */
const ANSWER_MS = 30_000;

function describeHolder(json: string): string {
  try {
    const value: unknown = JSON.parse(json);
    if (isRecord(value)) {
      return `run ${String(value.run)} of ${String(value.controller)} (process ${String(value.pid)}, since ${String(value.since)})`;
    }
  } catch {
    // Told below.
  }
  return "another run";
}

/**
 * The lock names its holder's process, when that started and the boot it belongs to. It is written under a name of its
 * own, then linked: it is never seen half-written. That of a process that is gone is removed, by one at a time.
 */
function lockScript({ run, controller }: DirectLockOptions): string {
  const begin = quote(`${JSON.stringify({ run, controller }).slice(0, -1)},"pid":`);
  const end = quote(`","since":${JSON.stringify(new Date().toISOString())}}`);
  return `umask 077; mkdir -p "$HOME/.cache/volley" && cd "$HOME/.cache/volley" || exit 96
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
start() { s=$(cat "/proc/$1/stat" 2>/dev/null) || return 1; set -- \${s##*) }; case $1 in Z|X) return 1;; esac; shift 19; echo "$1"; }
field() { printf %s "$h" | sed -n "s/.*\\"$1\\":\\"\\{0,1\\}\\([^\\",}]*\\).*/\\1/p"; }
own=lock.$$
printf '%s%s%s%s%s%s%s' ${begin} $$ ',"start":"' "$(start $$)" '","boot":"' "$boot" ${end} >$own || exit 96
while ! ln $own lock 2>/dev/null; do
h=$(cat lock 2>/dev/null) || { [ -w . ] && continue; exit 96; }
pid=$(field pid)
if [ -n "$pid" ] && [ "$(field boot)" = "$boot" ] && [ "$(start "$pid")" = "$(field start)" ]; then
echo "held $h" || exit 0
sleep 1
elif ln $own lock-breaker 2>/dev/null; then
[ "$(cat lock 2>/dev/null)" = "$h" ] && rm -f lock
rm -f lock-breaker
else
find lock-breaker -mmin +1 -exec rm -f {} + 2>/dev/null
sleep 1
fi
done
rm -f $own
echo taken
cat >/dev/null
h=$(cat lock 2>/dev/null)
[ "$(field pid)" = $$ ] && rm -f lock`;
}
