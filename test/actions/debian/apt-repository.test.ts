import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { apt_repository } from "../../../src/actions/debian/apt-repository.ts";
import { listPath } from "../../../src/actions/debian/apt-sources.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
const read = (path: string): string => readFileSync(join(sandbox.root, path), "utf8");
const put = (path: string, text: string): void => writeFileSync(join(sandbox.root, path), text);
const LIST = "etc/apt/sources.list.d/a.list";

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(join(sandbox.root, "etc/apt/sources.list.d"), { recursive: true });
  put("etc/apt/sources.list", "deb http://d.example.org/x stable main\n");
  put(
    LIST,
    `# A comment

deb   http://a.example.org/x   stable   main   # tail
#deb http://b.example.org/x stable main
garbage line
`,
  );
  return () => sandbox[Symbol.dispose]();
});

const noFetch = { update_cache: false };

describe("apt_repository", () => {
  it("adds a source to a list named by its URL", async () => {
    const repo = "deb  [arch=amd64]   http://repo.example.org/my-repo/debian/ stable main # why";
    const { check, first } = await checkApplyAgain(
      sandbox,
      apt_repository({ repo, mode: "0600", ...noFetch }),
    );
    const path = "/etc/apt/sources.list.d/repo_example_org_my_repo_debian.list";
    const line = "deb [arch=amd64] http://repo.example.org/my-repo/debian/ stable main\n";
    expect(check.change?.diff).toEqual([{ path, before: null, after: line }]);
    expect(read(path)).toBe(line);
    expect(statSync(join(sandbox.root, path)).mode & 0o777).toBe(0o600);
    expect(first.data).toEqual({ repo, state: "present", sources_added: [path], sources_removed: [] });
  });

  it.each<["present" | "absent", string]>([
    ["present", "deb http://new.example.org/x stable main"],
    ["absent", "deb http://a.example.org/x stable main"],
  ])("removes empty lists with a change, as Ansible does: %s", async (state, repo) => {
    put("etc/apt/sources.list", "");
    put("etc/apt/sources.list.d/blank.list", "\n");
    const { first } = await checkApplyAgain(sandbox, apt_repository({ repo, state, ...noFetch }));
    expect(existsSync(join(sandbox.root, "etc/apt/sources.list"))).toBe(false);
    expect(read("etc/apt/sources.list.d/blank.list")).toBe("\n");
    expect(first.data?.sources_removed).toEqual(["/etc/apt/sources.list"]);
  });

  it("keeps an empty list where nothing else is to be done", async () => {
    put("etc/apt/sources.list", "");
    const repo = "deb http://a.example.org/x stable main";
    const { state } = await pass(apt_repository({ repo, ...noFetch }), sandbox.system, sandbox.context());
    expect(state).toBe("unchanged");
    expect(read("etc/apt/sources.list")).toBe("");
  });

  it("enables a source in a comment, and writes the sources of that list alike", async () => {
    const call = apt_repository({
      repo: "deb http://b.example.org/x stable main",
      filename: "zz",
      ...noFetch,
    });
    await checkApplyAgain(sandbox, call);
    expect(read(LIST)).toBe(
      "# A comment\n\ndeb http://a.example.org/x stable main # tail\ndeb http://b.example.org/x stable main\ngarbage line\n",
    );
    expect(existsSync(join(sandbox.root, "etc/apt/sources.list.d/zz.list"))).toBe(false);
  });

  it.each(["deb http://a.example.org/x stable main # other", "deb http://d.example.org/x  stable main"])(
    "leaves a source that is there: %s",
    async (repo) => {
      const { state, data } = await pass(apt_repository({ repo }), sandbox.system, sandbox.context());
      expect(state).toBe("unchanged");
      expect(data).toMatchObject({ repo, state: "present" });
    },
  );

  it("removes a source, and the list with the last line", async () => {
    const gone = (repo: string) => apt_repository({ repo, state: "absent", ...noFetch });
    await checkApplyAgain(sandbox, gone("deb http://a.example.org/x stable main"));
    expect(read(LIST)).not.toContain("a.example.org");
    const { first } = await checkApplyAgain(sandbox, gone("deb http://d.example.org/x stable main"));
    expect(first.data?.sources_removed).toEqual(["/etc/apt/sources.list"]);
    expect(existsSync(join(sandbox.root, "etc/apt/sources.list"))).toBe(false);
    // Options are a part of a source.
    const other = gone("deb [arch=amd64] http://b.example.org/x stable main");
    expect((await pass(other, sandbox.system, sandbox.context())).state).toBe("unchanged");
  });

  it("knows the source of a PPA by the release", async () => {
    put("etc/apt/sources.list.d/ppa.list", "deb http://ppa.launchpad.net/git-core/ppa/ubuntu jammy main\n");
    const facts = { distribution_release: "jammy" };
    const call = apt_repository({ repo: "ppa:git-core", state: "absent", ...noFetch });
    await checkApplyAgain(sandbox, call, { facts });
    const added = apt_repository({ repo: "ppa:nginx/stable", codename: "noble" });
    const { change } = await pass(added, sandbox.system, sandbox.context({ check: true, facts }));
    expect(change?.diff).toEqual([
      {
        path: "/etc/apt/sources.list.d/ppa_nginx_stable_noble.list",
        before: null,
        after: "deb http://ppa.launchpad.net/nginx/stable/ubuntu noble main\n",
      },
    ]);
  });

  it.each([
    ["# deb http://x.example.org/debian bookworm main", /Invalid repository string: # deb/],
    ["http://x.example.org/debian", /Invalid repository string/],
    ["ppa:", /Invalid repository string: ppa:/],
  ])("refuses %s", async (repo, message) => {
    await expect(pass(apt_repository({ repo }), sandbox.system, sandbox.context())).rejects.toThrow(message);
  });

  it("needs a source", () => {
    expect(() => apt_repository({ repo: " " })).toThrow(/Please set argument 'repo' to a non-empty value/);
  });

  it.each([
    ["deb [trusted=yes] file:/srv/repo ./", "file_srv_repo"],
    ["deb cdrom:[Debian GNU]/ stable main", "cdrom"],
    ["deb http://a--b.c//d__e/ stable main", "a_b_c_d_e"],
    ["deb tor+https://b.c/ stable main", "tor_b_c"],
    ["deb-src http://user:pw@x.y:8080/a/b%20c?x=1 sid main", "x_y_8080_a_b_20c_x_1"],
  ])("names the list of %s as Ansible does", (source, name) => {
    expect(listPath(source, undefined)).toBe(`/etc/apt/sources.list.d/${name}.list`);
  });
});
