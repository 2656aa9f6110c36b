import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { yum_repository } from "../../../src/actions/rpm/yum-repository.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
const DIRECTORY = "/etc/yum.repos.d";
const read = (name: string): string => readFileSync(join(sandbox.root, DIRECTORY, name), "utf8");

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(join(sandbox.root, DIRECTORY), { recursive: true });
  return () => sandbox[Symbol.dispose]();
});

const epel = { name: "epel", description: "EPEL", baseurl: "https://x.example.org/$releasever/$basearch/" };

describe("yum_repository", () => {
  it("writes the options in alphabetical order, lists as yum reads them", async () => {
    const call = yum_repository({
      ...epel,
      baseurl: ["http://a.example.org/", "http://b.example.org/"],
      enabled: false,
      gpgcheck: true,
      exclude: "a*,b*",
      retries: 3,
      password: "s3cret",
      mode: "0600",
    });
    const { check, first } = await checkApplyAgain(sandbox, call);
    expect(read("epel.repo")).toBe(`[epel]
baseurl = http://a.example.org/
\thttp://b.example.org/
enabled = 0
exclude = a* b*
gpgcheck = 1
name = EPEL
password = s3cret
retries = 3

`);
    expect(statSync(join(sandbox.root, DIRECTORY, "epel.repo")).mode & 0o777).toBe(0o600);
    expect(first.data).toEqual({ repo: "epel", state: "present" });
    expect(JSON.stringify(check.change?.diff)).not.toContain("s3cret");
  });

  it("leaves a section that has the same options, written otherwise", async () => {
    const text = `# by hand\n[epel]\nname=EPEL\nbaseurl=${epel.baseurl}\n`;
    writeFileSync(join(sandbox.root, DIRECTORY, "epel.repo"), text);
    expect((await pass(yum_repository(epel), sandbox.system, sandbox.context())).state).toBe("unchanged");
  });

  it("replaces its own section alone, and removes a file without any", async () => {
    const file = join(sandbox.root, DIRECTORY, "many.repo");
    writeFileSync(file, "# kept\n[one]\nname=One\nbaseurl=http://one/\n\n[epel]\nname=Old\n[two]\nname=Two");
    await checkApplyAgain(sandbox, yum_repository({ ...epel, file: "many" }));
    const section = `[epel]\nbaseurl = ${epel.baseurl}\nname = EPEL\n\n`;
    expect(read("many.repo")).toBe(
      `# kept\n[one]\nname=One\nbaseurl=http://one/\n\n${section}[two]\nname=Two`,
    );
    await checkApplyAgain(
      sandbox,
      yum_repository({ name: "new", description: "New", mirrorlist: "http://m/", file: "many" }),
    );
    expect(read("many.repo")).toContain("name=Two\n[new]\nmirrorlist = http://m/\n");
    for (const name of ["epel", "new", "one", "two"])
      await checkApplyAgain(sandbox, yum_repository({ name, file: "many", state: "absent" }));
    expect(existsSync(file)).toBe(false);
    const again = yum_repository({ name: "two", file: "many", state: "absent" });
    expect((await pass(again, sandbox.system, sandbox.context())).state).toBe("unchanged");
  });

  it.each([
    [{ name: "x", baseurl: "http://x/" }, /Parameter 'description' is required/],
    [{ name: "x", description: "X" }, /Parameter 'baseurl', 'metalink' or 'mirrorlist' is required/],
  ])("refuses %j", (given, message) => expect(() => yum_repository(given)).toThrow(message));
});
