import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openInputFile, startCommand } from "../../../src/fanout/exec/remote-command.ts";
import { LOGIN_SHELLS, NASTY_WORDS, nastyWords } from "../../lib/login-shells.ts";
import { until } from "../../lib/patience.ts";
import { fleetStarter, run } from "../fleet.ts";
import { makeTree, put, scratchDirectory } from "../transfer/lib.ts";

const start = fleetStarter();
const scratch = scratchDirectory();
const PTY = { columns: 80, rows: 24 };
const printed = (words: readonly string[]): string => words.map((word) => `<${word}>`).join("");

it("costs a host one process beside the command, which does not wait for it", async () => {
  const { hosts } = await start({ count: 1 });
  const childrenOf = "/proc/$$/task/$$/children";
  const { stdout } = await run(hosts, `cat ${childrenOf}`);
  expect(stdout.web01).toMatch(/^\d+ $/);
  const waiting = await run(hosts, `wait; read children <${childrenOf}; echo "$children"`);
  expect(waiting.stdout.web01).toMatch(/^\d+\n$/);
  // A builtin is carried out by the shell that is there.
  expect((await run(hosts, "echo $$ 'a;b'  >&2")).stderr.web01).toMatch(/^\d+ a;b\n$/);
  expect((await run(hosts, "[ a = b ]")).results[0]?.exit).toEqual({ kind: "exited", code: 1 });
  expect((await run(hosts, "false")).results[0]?.exit).toEqual({ kind: "exited", code: 1 });
});

it("starts a process to decode what arrives only where that has several lines", () => {
  const options = { env: { A: "it's" }, stdinBytes: undefined, pty: false };
  const preambleOf = (text: string): string =>
    startCommand({ kind: "line", text }, options).preamble.toString();
  expect(preambleOf("uname -r")).not.toContain("printf %b");
  expect(preambleOf("uname -r\nid")).toMatch(/^eval "\$\(printf %b '[^\n]*'\)"\n$/);
});

describe.each(LOGIN_SHELLS)("a host whose login shell is %s", (shell) => {
  const only = it.skipIf(!existsSync(shell));

  only("passes words on as they are, in arguments, variables and on terminals", async () => {
    const { hosts } = await start({ count: 1, shell });
    const words = [...NASTY_WORDS, ...nastyWords(100, 7)];
    const given = await run(hosts, "", { command: { kind: "words", words: ["printf", "<%s>", ...words] } });
    expect(given.stdout.web01).toBe(printed(words));
    expect(given.stderr).toEqual({});
    const env = Object.fromEntries(NASTY_WORDS.map((word, index) => [`V${index}`, word]));
    const names = NASTY_WORDS.map((_word, index) => `"$V${index}"`).join(" ");
    expect((await run(hosts, `printf '<%s>' ${names}`, { env })).stdout.web01).toBe(printed(NASTY_WORDS));
    // A terminal may change control characters, so leave out words that hold some.
    const shown = NASTY_WORDS.filter((word) => !/\p{Cc}/u.test(word));
    const onTerminal = await run(hosts, "", {
      command: { kind: "words", words: ["printf", "<%s>", ...shown] },
      pty: PTY,
    });
    expect(onTerminal.stdout.web01).toBe(printed(shown));
  });

  only("gives lines and scripts to sh, and stdin to the command", async () => {
    const { hosts, fleet } = await start({ count: 1, shell });
    const directory = mkdtempSync(join(tmpdir(), "volley-input-"));
    writeFileSync(join(directory, "in"), "from\nstdin!\n");
    const input = await openInputFile(join(directory, "in"));
    const bytes = Buffer.from('for w in "$@"; do echo "$w"; done\ncat\n: \'!\\\'\n');
    const command = { kind: "script", bytes, words: ["x\\", "a!b"] } as const;
    const { stdout, results } = await run(hosts, "", { command, input });
    await input.close();
    rmSync(directory, { recursive: true });
    expect([stdout.web01, results[0]?.outcome]).toEqual(["x\\\na!b\nfrom\nstdin!\n", "ok"]);
    const line = "if [ 'a!b' != \"\\\\\" ]; then echo \"it's\";\necho 'x\\' | cat; fi; exit 3";
    const lined = await run(hosts, line);
    expect([lined.stdout.web01, lined.results[0]?.exit]).toEqual([
      "it's\nx\\\n",
      { kind: "exited", code: 3 },
    ]);
    const wrong = await run(hosts, "touch 'x");
    expect(wrong.results[0]?.exit).toEqual({ kind: "exited", code: 2 });
    await until(() => readdirSync(join(fleet.hosts[0]!.home, ".cache/volley")).length === 0);
  });

  only("takes files, and tells their hashes", async () => {
    const { hosts, fleet } = await start({ count: 1, shell });
    const source = makeTree(scratch(), { "it's a!b": "content" });
    const { results } = await put(hosts, [source], "d");
    expect(results[0]).toMatchObject({ outcome: "ok", verifiedBy: "sha256" });
    expect(readFileSync(join(fleet.hosts[0]!.home, "d/it's a!b"), "utf8")).toBe("content");
  });
});
