import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { cron } from "../../../src/actions/system/cron.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

const CRONTAB = `A=1
#Ansible: one
0 1 * * * root /bin/one

# a note
#Ansible: two
#@daily root /bin/two
* * * * * root /bin/bare
`;

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc/cron.d"), { recursive: true });
  writeFileSync(at("etc/passwd"), "root:x:0:0::/root:/bin/sh\n");
  return () => sandbox[Symbol.dispose]();
});

type Params = Parameters<typeof cron>[0];
const inFile = (params: Omit<Params, "cron_file">): ReturnType<typeof cron> =>
  cron({ cron_file: "jobs", ...params });

describe("cron, in a file", () => {
  it("makes the file with mode 0644 for a first job", async () => {
    const { check, first } = await checkApplyAgain(
      sandbox,
      inFile({ name: "x", minute: 5, job: "/bin/x", user: "root" }),
    );
    expect(check.change?.diff).toMatchObject({ path: "/etc/cron.d/jobs", before: null });
    expect(readFileSync(at("etc/cron.d/jobs"), "utf8")).toBe("#Ansible: x\n5 * * * * root /bin/x\n");
    expect(statSync(at("etc/cron.d/jobs")).mode & 0o777).toBe(0o644);
    expect(first.data).toEqual({ jobs: ["x"], envs: [], cron_file: "jobs" });
    expect(check.change?.data).toEqual(first.data);
  });

  const one = "0 1 * * * root /bin/one";
  it.each<[string, Omit<Params, "cron_file">, (before: string) => string]>([
    [
      "changes a job in place",
      { name: "one", hour: "2", job: "/bin/1", user: "root" },
      (text) => text.replace(one, "* 2 * * * root /bin/1"),
    ],
    [
      "adds a job at the end",
      { name: "x", special_time: "reboot", job: "/bin/x", user: "bin" },
      (text) => `${text}#Ansible: x\n@reboot bin /bin/x\n`,
    ],
    [
      "names a job that is there without a name",
      { name: "x", job: "/bin/bare", user: "root" },
      (text) => text.replace("* * * * * root /bin/bare", "#Ansible: x\n* * * * * root /bin/bare"),
    ],
    [
      "comments a job out",
      { name: "one", minute: 0, hour: 1, job: "/bin/one", user: "root", disabled: true },
      (text) => text.replace(one, `#${one}`),
    ],
    [
      "brings a job back",
      { name: "two", special_time: "daily", job: "/bin/two", user: "root" },
      (text) => text.replace("#@daily", "@daily"),
    ],
    [
      "removes a job",
      { name: "one", state: "absent" },
      (text) => text.replace(`#Ansible: one\n${one}\n`, ""),
    ],
    [
      "puts a variable at the top",
      { name: "B", env: true, job: "x y", user: "root" },
      (text) => `B="x y"\n${text}`,
    ],
    [
      "puts a variable below another",
      { name: "B", env: true, value: "x", insertafter: "A" },
      (text) => text.replace("A=1\n", 'A=1\nB="x"\n'),
    ],
    [
      "puts a variable above another",
      { name: "B", env: true, job: "x", insertbefore: "A" },
      (text) => text.replace("A=1\n", 'B="x"\nA=1\n'),
    ],
    [
      "changes a variable in place",
      { name: "A", env: true, job: "2" },
      (text) => text.replace("A=1", 'A="2"'),
    ],
    [
      "empties a variable, as MAILTO is for no mail",
      { name: "MAILTO", env: true, job: "" },
      (text) => `MAILTO=""\n${text}`,
    ],
    ["removes a variable", { name: "A", env: true, state: "absent" }, (text) => text.replace("A=1\n", "")],
  ])("%s and leaves the rest", async (_what, params, after) => {
    writeFileSync(at("etc/cron.d/jobs"), CRONTAB, { mode: 0o600 });
    await checkApplyAgain(sandbox, inFile(params));
    expect(readFileSync(at("etc/cron.d/jobs"), "utf8")).toBe(after(CRONTAB));
    expect(statSync(at("etc/cron.d/jobs")).mode & 0o777).toBe(0o600);
  });

  it.each<[string, Omit<Params, "cron_file">]>([
    ["a job", { name: "one", minute: "0", hour: "1", job: "/bin/one", user: "root" }],
    [
      "a job with a newline at its end",
      { name: "one", minute: "0", hour: "1", job: "/bin/one\n", user: "root" },
    ],
    ["the absence of a job", { name: "three", state: "absent" }],
    ["the absence of a variable", { name: "C", env: true, state: "absent" }],
  ])("leaves %s that is as it should be", async (_what, params) => {
    writeFileSync(at("etc/cron.d/jobs"), CRONTAB);
    expect((await pass(inFile(params), sandbox.system, sandbox.context())).state).toBe("unchanged");
    expect(readFileSync(at("etc/cron.d/jobs"), "utf8")).toBe(CRONTAB);
  });

  it("removes a file with its last job, and keeps a copy when asked", async () => {
    writeFileSync(at("etc/cron.d/jobs"), "#Ansible: x\n* * * * * root x\n");
    const { check, first } = await checkApplyAgain(
      sandbox,
      inFile({ name: "x", state: "absent", backup: true }),
    );
    expect(check.change?.diff).toMatchObject({ after: null });
    expect(existsSync(at("etc/cron.d/jobs"))).toBe(false);
    expect(readFileSync(at(first.data?.backup_file ?? ""), "utf8")).toContain("#Ansible: x");
    expect(check.change?.data).toEqual({ cron_file: "jobs", state: "absent" });
  });

  it("leaves an empty file that it did not empty, and one whose last variable goes", async () => {
    writeFileSync(at("etc/cron.d/jobs"), "\n");
    const gone = inFile({ name: "x", state: "absent" });
    expect((await pass(gone, sandbox.system, sandbox.context())).state).toBe("unchanged");
    writeFileSync(at("etc/cron.d/jobs"), "A=1\n\n");
    await checkApplyAgain(sandbox, inFile({ name: "A", env: true, state: "absent" }));
    expect(readFileSync(at("etc/cron.d/jobs"), "utf8")).toBe("");
  });

  it("leaves a file that is not there when a job is to be absent", async () => {
    expect(
      (await pass(inFile({ name: "x", state: "absent" }), sandbox.system, sandbox.context())).state,
    ).toBe("unchanged");
    expect(readdirSync(at("etc/cron.d"))).toEqual([]);
  });

  it("leaves the system's own crontab alone", async () => {
    const call = cron({ name: "x", job: "/bin/x", user: "root", cron_file: "/etc/crontab" });
    await expect(pass(call, sandbox.system, sandbox.context())).rejects.toThrow(
      /Will not manage \/etc\/crontab/,
    );
    expect(existsSync(at("etc/crontab"))).toBe(false);
  });

  it("does not guess where a variable goes", async () => {
    const call = inFile({ name: "B", env: true, job: "x", insertafter: "NONE" });
    await expect(pass(call, sandbox.system, sandbox.context())).rejects.toThrow(
      /Variable named 'NONE' not found/,
    );
    expect((await pass(call, sandbox.system, sandbox.context({ check: true }))).state).toBe("unknown");
  });
});

describe.runIf(process.getuid?.() === 0)("cron, in a user's crontab as root sees it", () => {
  it("takes no part in the header that crontab writes", async () => {
    mkdirSync(at("var/spool/cron/crontabs"), { recursive: true });
    writeFileSync(
      at("var/spool/cron/crontabs/root"),
      "# DO NOT EDIT THIS FILE - edit the master and reinstall.\n# (- installed on Sun Nov 22 10:00:00 2026)\n# (Cron version -- $Id: crontab.c,v 2.13 $)\n#Ansible: one\n0 1 * * * /bin/one\n",
    );
    const call = (params: Partial<Params>) =>
      cron({ name: "one", minute: 0, hour: 1, job: "/bin/one", ...params });
    expect((await pass(call({}), sandbox.system, sandbox.context())).state).toBe("unchanged");
    const { state, change } = await pass(call({ hour: 2 }), sandbox.system, sandbox.context({ check: true }));
    expect(state).toBe("changed");
    expect(change?.diff).toEqual({
      path: "crontab of root",
      before: "#Ansible: one\n0 1 * * * /bin/one\n",
      after: "#Ansible: one\n0 2 * * * /bin/one\n",
    });
  });
});

describe("cron's parameters", () => {
  it.each<[Params, RegExp]>([
    [{ name: "x" }, /You must specify 'job'/],
    [{ name: "x", job: "" }, /job must not be empty/],
    [{ name: "x", job: "a\nb" }, /job must be one line/],
    [{ name: "x", job: "a", cron_file: "x" }, /user is required with cron_file/],
    [{ name: "x", job: "a", special_time: "daily", hour: 1 }, /special_time stands for the times/],
    [{ name: "x", job: "a", insertafter: "A" }, /go with env/],
    [{ name: "x", job: "a", minute: "1 2" }, /without spaces/],
    [{ name: "x", job: "a", minutes: "1" } as Params, /unknown parameter "minutes"; did you mean "minute"/],
  ])("refuses %j", (params, message) => expect(() => cron(params)).toThrow(message));
});
