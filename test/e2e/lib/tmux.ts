import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PATIENCE_MS } from "../../lib/patience.ts";

/** A terminal that a program runs in, with somebody who types and looks. */
export interface Terminal {
  /** Presses keys, as tmux calls them: `Enter`, `C-]`, `Up`. */
  press(...keys: readonly string[]): void;
  /** Types a text as it is. */
  type(text: string): void;
  /** Pastes a text, with brackets where the program has asked for them. */
  paste(text: string): void;
  resize(columns: number, rows: number): void;
  /** Return the visible text, line by line. */
  screen(): readonly string[];
  /** Return the visible text with its colours as control sequences. */
  capture(): string;
  /** Waits until the screen is as wanted, and gives it; throws with the screen when it does not become so. */
  see(what: string | RegExp | ((screen: string) => boolean), timeoutMs?: number): Promise<string>;
  /** Return a property of the terminal from tmux, by its format: `#{pane_title}`. */
  ask(format: string): string;
  /** Hangs up, and waits until the program has ended. */
  close(): Promise<void>;
}

const LOOK_MS = 40;

/** True when tmux is installed, for `describe.skipIf(!tmuxAvailable())`. Prints a note when not. */
export function tmuxAvailable(): boolean {
  const isThere = spawnSync("tmux", ["-V"]).status === 0;
  if (!isThere) console.warn("Tests in a terminal are skipped: tmux is not installed (run .ci/install)");
  return isThere;
}

/** Starts a program in a terminal of its own; when it has ended, the terminal shows `exit CODE` and stays. */
export function openTerminal(
  command: readonly string[],
  options: {
    readonly columns: number;
    readonly rows: number;
    readonly cwd: string;
    readonly env?: Readonly<Record<string, string>>;
  },
): Terminal {
  const home = mkdtempSync(join(tmpdir(), "volley-tmux-"));
  const tmux = (...args: readonly string[]): string =>
    execFileSync("tmux", ["-S", join(home, "socket"), "-f", "/dev/null", ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
  const env = { LANG: "C.UTF-8", LC_ALL: "C.UTF-8", ...options.env };
  const assignments = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  const size = ["-x", String(options.columns), "-y", String(options.rows)];
  tmux(
    ...["new-session", "-d", "-c", options.cwd, ...size],
    ...["env", "-u", "CI", "-u", "NO_COLOR", "-u", "FORCE_COLOR", ...assignments],
    ...["sh", "-c", `${quoted}; echo "exit $?"; stty -a | grep -o '.icanon\\|.echo '; sleep 1000`],
  );
  const screen = (): readonly string[] => tmux("capture-pane", "-p").split("\n").slice(0, -1);
  return {
    press: (...keys) => void tmux("send-keys", ...keys),
    type: (text) => void tmux("send-keys", "-l", "--", text),
    paste: (text) => {
      tmux("set-buffer", "--", text);
      tmux("paste-buffer", "-p", "-d");
    },
    resize: (columns, rows) => void tmux("resize-window", "-x", String(columns), "-y", String(rows)),
    screen,
    capture: () => tmux("capture-pane", "-e", "-N", "-p"),
    see: async (what, timeoutMs = PATIENCE_MS) => {
      const until = performance.now() + timeoutMs;
      for (;;) {
        const text = screen().join("\n");
        const isSeen =
          typeof what === "string"
            ? text.includes(what)
            : what instanceof RegExp
              ? what.test(text)
              : what(text);
        if (isSeen) return text;
        if (performance.now() > until) throw new Error(`not seen: ${what}\n${text}\n${shellsOnTerminals()}`);
        await sleep(LOOK_MS);
      }
    },
    ask: (format) => tmux("display-message", "-p", format).trim(),
    close: async () => {
      const programs = childrenOf(Number(tmux("display-message", "-p", "#{pane_pid}")));
      spawnSync("tmux", ["-S", join(home, "socket"), "kill-server"]);
      rmSync(home, { recursive: true, force: true });
      const until = performance.now() + PATIENCE_MS;
      while (programs.some((pid) => existsSync(`/proc/${pid}`)) && performance.now() < until)
        await sleep(LOOK_MS);
    },
  };
}

/** List the shells that run on terminals, and what each waits for: a screen alone does not tell who keeps it waiting. */
function shellsOnTerminals(): string {
  const { stdout } = spawnSync("ps", ["-eo", "pid,ppid,stat,wchan:20,args"], { encoding: "utf8" });
  return (stdout ?? "")
    .split("\n")
    .filter((line) => /script -q|sh -i/.test(line))
    .join("\n");
}

function childrenOf(pid: number): readonly number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return text === "" ? [] : text.split(" ").map(Number);
  } catch {
    return [];
  }
}
