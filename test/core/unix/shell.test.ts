import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { commandLine, loginShellLine, quote } from "../../../src/core/unix/shell.ts";
import { LOGIN_SHELLS, NASTY_WORDS, nastyWords } from "../../lib/login-shells.ts";

/** Give a line to a login shell as sshd does, and return its output. */
function printed(shell: string, line: string): string {
  const { stdout, stderr } = spawnSync(shell, ["-c", line], {
    encoding: "utf8",
    env: { PATH: process.env.PATH, HOME: "/nonexistent", LC_ALL: "C.UTF-8" },
  });
  return stdout + stderr;
}

describe.each(LOGIN_SHELLS)("%s", (shell) => {
  it.skipIf(!existsSync(shell))("passes on what is for sh, whatever stands in it", () => {
    const words = [...NASTY_WORDS, ...nastyWords(400, 20261128)];
    const script = `printf '<%s>' ${words.map(quote).join(" ")}`;
    expect(printed(shell, loginShellLine(script))).toBe(words.map((word) => `<${word}>`).join(""));
    for (const word of NASTY_WORDS)
      expect(printed(shell, loginShellLine(`printf %s ${quote(word)}`)), JSON.stringify(word)).toBe(word);
  });

  it.skipIf(!existsSync(shell))("is replaced by sh, and passes on its exit code and long lines", () => {
    const long = `${"x".repeat(50_000)}!${"it's".repeat(1_000)}`;
    expect(printed(shell, loginShellLine(`printf %s ${quote(long)}`)) === long).toBe(true);
    const { status } = spawnSync(shell, ["-c", loginShellLine("exit 77")], { stdio: "ignore" });
    expect(status).toBe(77);
    const { signal } = spawnSync(shell, ["-c", loginShellLine("kill -TERM $$\nexit 1")], { stdio: "ignore" });
    expect(signal).toBe("SIGTERM");
  });
});

it("a script that every shell takes as it is stays readable", () => {
  expect(loginShellLine('cd "$HOME" && echo {a,b} [c] * ~ `d`')).toBe(
    `exec /bin/sh -c 'cd "$HOME" && echo {a,b} [c] * ~ \`d\`'`,
  );
  expect(loginShellLine("echo it's\nall")).toMatch(/^exec \/bin\/sh -c 'eval "[^'!\n]*"'$/);
});

it("joins words to a line that sh splits into the same words", () => {
  const words = [...NASTY_WORDS, ...nastyWords(400, 20261129), "", "two words"];
  const { stdout } = spawnSync("sh", ["-c", commandLine(["printf", "<%s>", ...words])], { encoding: "utf8" });
  expect(stdout).toBe(words.map((word) => `<${word}>`).join(""));
  expect(commandLine(["sh", "-c", 'echo "a b"', "it's"])).toBe(`sh -c 'echo "a b"' 'it'\\''s'`);
});
