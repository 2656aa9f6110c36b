import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { command, shell } from "../../../src/actions/system/command.ts";
import { failureData } from "../../../src/core/action.ts";
import { PATIENCE_MS } from "../../lib/patience.ts";
import { makeSandbox, pass, snapshot } from "../harness.ts";

/** A variable in braces, which no text in quotes may have. */
const braced = (name: string, after: string): string => `$\{${name}}${after}`;

describe("command", () => {
  test("runs in its directory, shows its output live, and returns it", async () => {
    using sandbox = makeSandbox();
    mkdirSync(join(sandbox.root, "srv"));
    const call = command({
      argv: ["sh", "-c", "echo one; echo two; echo three >&2; pwd >where"],
      chdir: "/srv",
    });
    const before = snapshot(sandbox.root);
    const check = await pass(call, sandbox.system, sandbox.context({ check: true }));
    expect(check.state).toBe("unknown");
    expect(snapshot(sandbox.root)).toEqual(before);
    const { state, data } = await pass(call, sandbox.system, sandbox.context());
    expect(state).toBe("changed");
    expect(data).toMatchObject({
      rc: 0,
      stdout: "one\ntwo",
      stdout_lines: ["one", "two"],
      stderr: "three",
      stderr_lines: ["three"],
      cmd: call.params.argv,
      delta: expect.stringMatching(/^0:00:\d\d\.\d{6}$/),
    });
    expect(sandbox.output.join("")).toContain("two\n");
    expect(readFileSync(join(sandbox.root, "srv/where"), "utf8").trim()).toBe(join(sandbox.root, "srv"));
  });

  test.each(["/srv/link", "/srv/li*"])("a link that leads to nothing is there (%s)", async (path) => {
    using sandbox = makeSandbox();
    mkdirSync(join(sandbox.root, "srv"));
    symlinkSync("gone", join(sandbox.root, "srv/link"));
    const states = [{ creates: path }, { removes: path }].map(
      async (given) =>
        (await pass(command({ cmd: "true", ...given }), sandbox.system, sandbox.context({ check: true })))
          .state,
    );
    expect(await Promise.all(states)).toEqual(["unchanged", "changed"]);
  });

  test("is a change every time, and unchanged once what it creates is there", async () => {
    using sandbox = makeSandbox();
    mkdirSync(join(sandbox.root, "srv"));
    const call = command({ cmd: "touch 'made here'", chdir: "/srv", creates: "made*" });
    const check = await pass(call, sandbox.system, sandbox.context({ check: true }));
    expect(check.state).toBe("changed");
    expect(existsSync(join(sandbox.root, "srv/made here"))).toBe(false);
    expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("changed");
    expect(existsSync(join(sandbox.root, "srv/made here"))).toBe(true);
    for (const isCheck of [false, true]) {
      const again = await pass(call, sandbox.system, sandbox.context({ check: isCheck }));
      expect(again.state).toBe("unchanged");
      expect(again.inspected?.message).toBe("skipped, since made* exists");
      expect(again.data).toMatchObject({ rc: 0, stdout: "skipped, since made* exists", stderr_lines: [] });
    }
    const always = command({ cmd: "true" });
    for (let i = 0; i < 2; i++)
      expect((await pass(always, sandbox.system, sandbox.context())).state).toBe("changed");
  });

  test("removes holds it back when nothing is there; patterns go over several directories", async () => {
    using sandbox = makeSandbox();
    const call = command({ cmd: "rm -r a1", removes: "/srv/a?/[x-z]*.old", chdir: "/srv" });
    mkdirSync(join(sandbox.root, "srv/a1"), { recursive: true });
    writeFileSync(join(sandbox.root, "srv/a1/b.old"), "");
    expect((await pass(call, sandbox.system, sandbox.context())).inspected?.message).toMatch(
      /does not exist/,
    );
    writeFileSync(join(sandbox.root, "srv/a1/y.old"), "");
    expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("changed");
    expect(existsSync(join(sandbox.root, "srv/a1"))).toBe(false);
    expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("unchanged");
  });

  test("gives stdin, with a newline unless told not to, and adds to the environment", async () => {
    using sandbox = makeSandbox();
    const read = async (call: ReturnType<typeof command>) =>
      (await pass(call, sandbox.system, sandbox.context())).data;
    expect(await read(command({ cmd: "wc -c", stdin: "abc" }))).toMatchObject({ stdout: "4" });
    expect(await read(command({ cmd: "wc -c", stdin: "abc", stdin_add_newline: false }))).toMatchObject({
      stdout: "3",
    });
    expect(await read(command({ cmd: "cat" }))).toMatchObject({ stdout: "", stdout_lines: [] });
    const greeting = command({ argv: ["sh", "-c", "echo $GREETING$PATH"], environment: { GREETING: "hi" } });
    expect(await read(greeting)).toMatchObject({ stdout: expect.stringMatching(/^hi.*\/bin/) });
    const printf = command({ argv: ["printf", "a\\n\\n"], strip_empty_ends: false });
    expect(await read(printf)).toMatchObject({ stdout: "a\n\n", stdout_lines: ["a", ""] });
  });

  test("words are split, not expanded", async () => {
    using sandbox = makeSandbox();
    const call = command(`printf %s, "a b" 'c"d' e\\ f $HOME '' *`);
    expect((await pass(call, sandbox.system, sandbox.context())).data).toMatchObject({
      stdout: 'a b,c"d,e f,$HOME,,*,',
    });
  });

  test("is called in short with a line or a list", () => {
    expect(command("ls -l").params).toMatchObject({ cmd: "ls -l" });
    expect(command("ls -l").title).toBe("ls -l");
    expect(command(["touch", "/x y"]).title).toBe("touch '/x y'");
    expect(command(["touch", "/x y"]).params).toMatchObject({ argv: ["touch", "/x y"] });
  });

  test("fails with the code and the last line of stderr, and tells the rest all the same", async () => {
    using sandbox = makeSandbox();
    const call = command(["sh", "-c", "echo out; echo why >&2; echo because >&2; exit 3"]);
    const thrown = await pass(call, sandbox.system, sandbox.context()).catch((error: unknown) => error);
    expect(thrown).toMatchObject({ code: "ACTION_FAILED", message: "sh exited with code 3: because" });
    expect(failureData(thrown)).toMatchObject({ rc: 3, stdout: "out", stderr_lines: ["why", "because"] });
    const killed = await pass(command(["sh", "-c", "kill -9 $$"]), sandbox.system, sandbox.context()).catch(
      (e: unknown) => e,
    );
    expect(killed).toMatchObject({ message: "sh was ended by SIGKILL" });
    expect(failureData(killed)).toMatchObject({ rc: -9, msg: "non-zero return code" });
  });

  test("a command that does not exist failed with code 2", async () => {
    using sandbox = makeSandbox();
    const thrown = await pass(command("no-such-command-here"), sandbox.system, sandbox.context()).catch(
      (e: unknown) => e,
    );
    expect(thrown).toMatchObject({
      code: "PROCESS_FAILED",
      message: expect.stringMatching(/^cannot run no-such-command-here: /),
    });
    expect(failureData(thrown)).toEqual({
      ...{ cmd: "no-such-command-here", rc: 2, stdout: "", stderr: "", stdout_lines: [], stderr_lines: [] },
      msg: "[Errno 2] No such file or directory: b'no-such-command-here'",
    });
  });

  test("replaces variables and ~ in its words where it is told to, as Ansible does", async () => {
    using sandbox = makeSandbox();
    const say = async (params: Parameters<typeof command>[0], facts = { env: { FOO: "f o", HOME: "/h" } }) =>
      (await pass(command(params), sandbox.system, sandbox.context({ facts }))).data;
    const argv = ["printf", "%s|", "$FOO", braced("FOO", "x"), "$NONE", "a~", "~nobody-here", "$OWN"];
    const data = await say({ argv, expand_argument_vars: true, environment: { OWN: "own" } });
    expect(data).toMatchObject({ stdout: "f o|f ox|$NONE|a~|~nobody-here|own|", cmd: argv, msg: "" });
    expect(await say({ cmd: "echo '$FOO'" })).toMatchObject({
      ...{ stdout: "$FOO", cmd: ["echo", "$FOO"] },
    });
    mkdirSync(join(sandbox.root, "f o"));
    expect(await say({ cmd: "touch made", chdir: "/$FOO" })).toMatchObject({ rc: 0 });
    expect(await say({ cmd: "false", creates: `/${braced("FOO", "/made")}` })).toMatchObject({
      msg: `Did not run command since '/${braced("FOO", "/made")}' exists`,
      ...{ start: null, end: null, delta: null, rc: 0 },
    });
  });

  test("tells in check mode what Ansible tells, and the local time in a real run", async () => {
    using sandbox = makeSandbox();
    const call = shell({ cmd: "printf 'a\\013b\\r\\nc'", creates: "/none" });
    const checks = sandbox.context({ check: true });
    expect((await pass(call, sandbox.system, checks)).change?.data).toBeUndefined();
    const check = await pass(call, sandbox.system, { ...checks, registered: true });
    expect(check.change?.data).toMatchObject({
      ...{ cmd: "printf 'a\\013b\\r\\nc'", rc: 0, stdout: "", start: null },
      msg: "Command would have run if not in check mode",
    });
    const { data } = await pass(call, sandbox.system, sandbox.context());
    expect(data?.stdout_lines).toEqual(["a", "b", "c"]);
    expect(
      Math.abs(Date.now() - new Date(data!.start!.replace(" ", "T").slice(0, 23)).getTime()),
    ).toBeLessThan(PATIENCE_MS);
  });

  test("needs its directory", async () => {
    using sandbox = makeSandbox();
    const call = command({ cmd: "ls", chdir: "/none" });
    const thrown = await pass(call, sandbox.system, sandbox.context()).catch((e: unknown) => e);
    expect(thrown).toMatchObject({ message: "cannot run ls: there is no directory /none" });
    expect(failureData(thrown)).toMatchObject({ rc: null, cmd: ["ls"], start: null });
  });

  test("is ended when it takes too long", async () => {
    using sandbox = makeSandbox();
    const call = command({ cmd: "sleep 60", timeout: 0.2 });
    await expect(pass(call, sandbox.system, sandbox.context())).rejects.toMatchObject({ code: "TIMEOUT" });
  });

  test("wrong parameters are named, with the right ones", () => {
    // @ts-expect-error: a misspelt parameter
    expect(() => command({ cmd: "ls", creats: "/x" })).toThrow(
      /unknown parameter "creats"; did you mean "creates"\?/,
    );
    expect(() => command({})).toThrow("no command given");
    expect(() => command({ cmd: "ls", argv: ["ls"] })).toThrow("only command or argv can be given");
    // @ts-expect-error: not a command
    expect(() => command(5)).toThrow(/command: parameter "cmd"/);
  });
});

describe("shell", () => {
  test("expands, pipes and redirects", async () => {
    using sandbox = makeSandbox();
    const call = shell({ cmd: "echo $A | tr a-z A-Z > out; cat out", environment: { A: "x" }, chdir: "/" });
    expect((await pass(call, sandbox.system, sandbox.context({ check: true }))).state).toBe("unknown");
    expect(existsSync(join(sandbox.root, "out"))).toBe(false);
    expect((await pass(call, sandbox.system, sandbox.context())).data).toMatchObject({
      stdout: "X",
      cmd: call.params.cmd,
    });
    expect(existsSync(join(sandbox.root, "out"))).toBe(true);
  });

  test("uses another shell when told, and is called in short with a line", async () => {
    using sandbox = makeSandbox();
    const call = shell({ cmd: "[[ a == a ]] && echo bash", executable: "/bin/bash" });
    expect((await pass(call, sandbox.system, sandbox.context())).data).toMatchObject({ stdout: "bash" });
    await expect(pass(shell("false | exit 4"), sandbox.system, sandbox.context())).rejects.toThrow(
      "the shell exited with code 4",
    );
  });

  test("is held back by creates", async () => {
    using sandbox = makeSandbox();
    const call = shell({ cmd: "echo >made", chdir: "/", creates: "/made" });
    expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("changed");
    expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("unchanged");
  });
});
