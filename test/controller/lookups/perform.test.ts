import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { createControllerLookups, type LookupMachine } from "../../../src/controller/lookups/perform.ts";
import { until } from "../../lib/patience.ts";

const FILES = {
  "files/here.txt": "  of the playbook \n\n",
  "files/a.conf": "a",
  "files/b.conf": "b",
  "files/.hidden.conf": "h",
  "files/sub.conf/x": "",
  "beside.txt": "beside",
  "templates/t.j2": "{{ x }}",
  "roles/r/files/here.txt": "of the role",
  "roles/r/tasks/os.yml": "",
  "roles/r/vars/Debian.yml": "",
  "files/secret": "$ANSIBLE_VAULT;1.1;AES256\n31\n",
};

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "volley-lookups-"));
  for (const [name, text] of Object.entries(FILES)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
  return () => rmSync(directory, { recursive: true });
});

function perform(
  plugin: string,
  terms: readonly unknown[],
  options: Readonly<Record<string, unknown>> = {},
  more: Partial<LookupMachine> & { readonly searchPath?: readonly string[] } = {},
) {
  const { searchPath = [directory], ...machine } = more;
  return createControllerLookups({
    env: { PATH: process.env.PATH, SET: "yes" },
    directory,
    openVault: async (_text, file) => `opened ${file.slice(directory.length + 1)}`,
    ...machine,
  }).perform({ plugin, terms, options, searchPath });
}

describe("files", () => {
  it("are looked for in the role, then in the playbook, in their directory and beside it", async () => {
    const role = [join(directory, "roles/r"), directory];
    expect(await perform("file", ["here.txt"], {}, { searchPath: role })).toEqual(["of the role"]);
    const tasks = [join(directory, "roles/r/tasks"), directory];
    expect(await perform("file", ["here.txt"], {}, { searchPath: tasks })).toEqual(["of the role"]);
    expect(await perform("file", ["here.txt", "beside.txt"])).toEqual(["  of the playbook", "beside"]);
    expect(await perform("file", [join(directory, "beside.txt")])).toEqual(["beside"]);
  });

  it("are stripped as asked", async () => {
    expect(await perform("file", ["here.txt"], { lstrip: true })).toEqual(["of the playbook"]);
    expect(await perform("file", ["here.txt"], { rstrip: false })).toEqual(["  of the playbook \n\n"]);
  });

  it("that are encrypted are opened", async () => {
    expect(await perform("file", ["secret"])).toEqual(["opened files/secret"]);
    expect(await perform("unvault", ["secret", "beside.txt"])).toEqual(["opened files/secret", "beside"]);
  });

  it("give templates unrendered", async () => {
    expect(await perform("template", ["t.j2"])).toEqual(["{{ x }}"]);
  });

  it.each([
    ["file", "could not locate file in lookup: nope"],
    ["template", "the template file nope could not be found for the lookup"],
    ["unvault", 'Unable to find file matching "nope"'],
  ])("%s fails for a missing one", async (plugin, message) => {
    await expect(perform(plugin, ["nope"])).rejects.toMatchObject({ code: "TEMPLATE_FAILED", message });
  });

  it("match globs, hidden ones and directories left out", async () => {
    const [a, b] = [join(directory, "files/a.conf"), join(directory, "files/b.conf")];
    expect(await perform("fileglob", ["*.conf"])).toEqual([a, b]);
    expect(await perform("fileglob", [join(directory, "files/[!a]*.conf"), "none*"])).toEqual([b]);
  });

  it("are listed as trees: directories and links to them first, in each directory", async () => {
    mkdirSync(join(directory, "files/tree/b/c"), { recursive: true });
    mkdirSync(join(directory, "files/other/b"), { recursive: true });
    writeFileSync(join(directory, "files/tree/b/two"), "2", { mode: 0o600 });
    chmodSync(join(directory, "files/tree/b/two"), 0o600);
    writeFileSync(join(directory, "files/tree/a"), "");
    writeFileSync(join(directory, "files/tree/.hidden"), "");
    writeFileSync(join(directory, "files/other/a"), "other");
    writeFileSync(join(directory, "files/other/b/new"), "");
    symlinkSync("b", join(directory, "files/tree/z"));
    symlinkSync("/nowhere", join(directory, "files/tree/dangling"));
    const root = join(directory, "files/tree");
    const found = (await perform("filetree", ["tree/", "none", "other"])) as readonly Record<
      string,
      unknown
    >[];
    expect(found.map(({ path, state, src }) => [path, state, src])).toEqual([
      ["b", "directory", undefined],
      ["z", "link", "b"],
      [".hidden", "file", join(root, ".hidden")],
      ["a", "file", join(root, "a")],
      ["dangling", "link", "/nowhere"],
      ["b/c", "directory", undefined],
      ["b/two", "file", join(root, "b/two")],
      ["b/new", "file", join(directory, "files/other/b/new")],
    ]);
    const { uid, gid } = statSync(directory);
    expect(found[6]).toMatchObject({ root, mode: "0600", size: 1, uid, gid });
    expect(found[6]?.owner).toBe(userInfo().username);
    expect(Number(found[6]?.mtime)).toBeCloseTo(statSync(join(root, "b/two")).mtimeMs / 1000, 3);
  });

  it("are found by the first of several names", async () => {
    const role = { searchPath: [join(directory, "roles/r"), directory] };
    const names = ["Ubuntu.yml", "Debian.yml"];
    expect(await perform("first_found", names, { subdirectory: "vars" }, role)).toEqual([
      join(directory, "roles/r/vars/Debian.yml"),
    ]);
    expect(await perform("first_found", ["tasks/os.yml"], {}, role)).toEqual([
      join(directory, "roles/r/tasks/os.yml"),
    ]);
    expect(await perform("first_found", names, {}, role)).toEqual([]);
  });

  it("have types", async () => {
    symlinkSync("nowhere", join(directory, "link"));
    const types = (follow: boolean) =>
      perform(
        "stat",
        ["beside.txt", "files", "link", "none"].map((name) => join(directory, name)),
        { follow },
      );
    expect(await types(true)).toEqual(["file", "directory", null, null]);
    expect(await types(false)).toEqual(["file", "directory", "link", null]);
    expect(await perform("mount", ["/", join(directory, "files")])).toEqual([true, false]);
    expect(await perform("same_file", [directory, join(directory, "files/..")])).toEqual([true]);
  });
});

describe("commands", () => {
  it("run where the playbook is, with its environment", async () => {
    expect(await perform("pipe", ["pwd", "printf '%s\\n\\n' $SET"])).toEqual([directory, "yes"]);
    expect(await perform("lines", ["echo a; echo; echo b", "true"])).toEqual(["a", "", "b"]);
  });

  it("fail with their exit code", async () => {
    await expect(perform("pipe", ["exit 3"])).rejects.toThrow("lookup_plugin.pipe(exit 3) returned 3");
  });

  it("end with the run", async () => {
    const ended = new AbortController();
    const running = perform("pipe", ["touch began; sleep 60"], {}, { signal: ended.signal });
    await until(() => existsSync(join(directory, "began")));
    ended.abort();
    await expect(running).rejects.toThrow("returned SIGTERM");
    await expect(perform("pipe", ["true"], {}, { signal: ended.signal })).rejects.toThrow("was not run");
  });
});

describe("passwords", () => {
  it("are made once, and kept for their owner alone", async () => {
    const [first] = await perform("password", ["cred/web"], { length: 30, chars: ["digits"] });
    expect(first).toMatch(/^\d{30}$/);
    expect(await perform("password", ["cred/web"], { length: 5 })).toEqual([first]);
    expect(readFileSync(join(directory, "cred/web"), "utf8")).toBe(`${first}\n`);
    expect(statSync(join(directory, "cred/web")).mode & 0o777).toBe(0o600);
  });

  it("keep the salt of their hash", async () => {
    const options = { encrypt: "sha512_crypt" };
    const [hash] = await perform("password", ["db"], options);
    expect(await perform("password", ["db"], options)).toEqual([hash]);
    const [, clear, salt] = /^(\S+) salt=(\S+)\n$/.exec(readFileSync(join(directory, "db"), "utf8")) ?? [];
    expect(hash).toMatch(`$6$${salt}$`);
    expect(await perform("password", ["db"])).toEqual([clear]);
  });

  it("fail where their file cannot be read", async () => {
    mkdirSync(join(directory, "shut"));
    chmodSync(join(directory, "shut"), 0o700);
    await expect(perform("password", ["shut"])).rejects.toThrow("EISDIR");
  });
});

describe("the environment and the settings", () => {
  it("are those of the controller", async () => {
    expect(await perform("env", ["SET", "UNSET"])).toEqual(["yes", null]);
    const env = { ANSIBLE_FORKS: "7", ANSIBLE_ROLES_PATH: "/a:/b", ANSIBLE_HOST_KEY_CHECKING: "no" };
    const names = ["DEFAULT_FORKS", "DEFAULT_ROLES_PATH", "HOST_KEY_CHECKING", "DEFAULT_BECOME_USER"];
    expect(await perform("config", names, {}, { env })).toEqual([7, ["/a", "/b"], false, "root"]);
    expect(await perform("config", ["NOPE"], { on_missing: "skip" })).toEqual([]);
    await expect(perform("config", ["NOPE"])).rejects.toThrow("Unable to find setting NOPE");
  });

  it("refuse a way to take a missing setting, and names that no setting has", async () => {
    await expect(perform("config", ["DEFAULT_FORKS"], { on_missing: "ignore" })).rejects.toThrow(
      "valid values are: error, skip, warn",
    );
    await expect(perform("config", [7])).rejects.toThrow('Invalid setting identifier, "7" is not a string');
    await expect(perform("config", ["forkCount"])).rejects.toThrow('Invalid setting "forkCount"');
    expect(await perform("config", ["forkCount"], { on_missing: "warn" })).toEqual([]);
  });
});

describe("URLs", () => {
  it("are fetched as lines, through redirects", async () => {
    const server = createServer((request, response) => {
      if (request.url === "/moved") response.writeHead(302, { location: "/" }).end();
      else if (request.url === "/no") response.writeHead(404).end();
      else response.end(`${request.headers["user-agent"]}\n${request.headers.authorization ?? "nobody"}\n`);
    });
    await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      expect(await perform("url", [`${url}/moved`])).toEqual(["ansible-httpget", "nobody"]);
      expect(await perform("url", [url], { split_lines: false, username: "u", password: "p" })).toEqual([
        "ansible-httpget\nBasic dTpw\n",
      ]);
      await expect(perform("url", [`${url}/no`])).rejects.toThrow("HTTP Error 404");
    } finally {
      server.close();
    }
    await expect(perform("url", [url])).rejects.toThrow(`Failed lookup url for ${url}`);
  });
});

it("refuses what it does not know", async () => {
  await expect(perform("constructor", [])).rejects.toThrow("lookup plugin (constructor) not found");
});
