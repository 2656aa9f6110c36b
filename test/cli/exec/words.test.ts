import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { addExecCommand } from "../../../src/cli/exec/exec.ts";
import { type ExecWords, splitWords } from "../../../src/cli/exec/words.ts";

/** Parse as the program does, up to the hosts and the command. */
function read(...args: readonly string[]): ExecWords & { readonly flags: Readonly<Record<string, unknown>> } {
  const program = new Command().enablePositionalOptions().exitOverride();
  addExecCommand(program);
  const [command] = program.commands as [Command];
  command.exitOverride().configureOutput({ writeErr: () => {} });
  let words: ExecWords | undefined;
  command.action((operands: readonly string[]) => {
    const { rawArgs } = program as Command & { readonly rawArgs: readonly string[] };
    words = splitWords(command, operands, rawArgs);
  });
  program.parse(["exec", ...args], { from: "user" });
  return { ...words!, flags: command.opts() };
}

describe("hosts and command", () => {
  it.each<[string, Partial<ExecWords>]>([
    ["web uptime", { hosts: "web", line: "uptime", words: [] }],
    ["web uname -r", { hosts: "web", line: undefined, words: ["uname", "-r"] }],
    ["-B web uptime", { hosts: "web", line: "uptime", words: [] }],
    ["web -B uname -b --fold", { hosts: "web", words: ["uname", "-b", "--fold"] }],
    ["web -f 5 -- df -h /", { hosts: "web", line: undefined, words: ["df", "-h", "/"] }],
    ["web -- uptime", { hosts: "web", line: undefined, words: ["uptime"] }],
    ["web -- a -- b", { hosts: "web", words: ["a", "--", "b"] }],
    ["web a -- b", { hosts: "web", words: ["a", "--", "b"] }],
    ["-w web uname -r", { hosts: "web", words: ["uname", "-r"] }],
    ["-w web uptime", { hosts: "web", line: "uptime" }],
    ["-w web -- uptime", { hosts: "web", line: undefined, words: ["uptime"] }],
    ["-l web -- uptime", { hosts: undefined, line: undefined, words: ["uptime"] }],
    ["all -l web -- uptime", { hosts: "all", words: ["uptime"] }],
    ["--script a.sh web", { hosts: "web", line: undefined, words: [] }],
    ["web --script a.sh -b -- -x", { hosts: "web", words: ["-x"] }],
    ["--script a.sh web x -b", { hosts: "web", words: ["x", "-b"] }],
    ["-w web --script a.sh", { hosts: "web", words: [] }],
  ])("%s", (line, words) => {
    expect(read(...line.split(" "))).toMatchObject(words);
  });

  it("leaves options before the first word of the command to Volley, and the rest to the command", () => {
    expect(read("-f", "7", "web", "--diff", "id", "-B", "-b").flags).toMatchObject({ forks: 7, diff: true });
    expect(read("web", "id", "-B", "-b").flags).not.toMatchObject({ fold: true });
    expect(read("web", "id", "-b").flags.become).toBeUndefined();
  });

  it.each<[readonly string[], string]>([
    [["web"], "there is no command"],
    [["web", ""], "there is no command"],
    [["web", " "], "there is no command"],
    [["web", "--", ""], "there is no command"],
    [["-l", "web", "uptime"], "there is no command"],
    [["-w", "web"], "there is no command"],
    [["--", "uptime"], "which hosts?"],
    [["web", "-w", "db", "uptime"], "the hosts are named twice"],
    [["web", "df -h", "-B"], "-B stands behind the quoted line"],
    [["web", "df -h", "/"], "a quoted line is the whole command"],
    [["web", "A=1", "env"], "A=1 is no program"],
    [["web", "-q", "ls"], "unknown option '-q'"],
  ])("%j is refused", (args, message) => {
    expect(() => read(...args)).toThrow(message);
  });

  it.each([
    [["-l", "web", "uptime"], "volley exec -w web uptime"],
    [["web*", "df -h", "-D"], "volley exec -D 'web*' 'df -h'"],
    [["web*", "/opt/my tool", "x y"], "volley exec 'web*' -- '/opt/my tool' 'x y'"],
  ])("suggests for %j a command that can be pasted into a shell", (args, example) => {
    expect(() => read(...args)).toThrow(expect.objectContaining({ hint: `write: ${example}` }));
  });
});
