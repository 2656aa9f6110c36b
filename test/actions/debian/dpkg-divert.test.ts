import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { dpkg_divert } from "../../../src/actions/debian/dpkg-divert.ts";
import { failureData } from "../../../src/core/action.ts";
import { type Tools, withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
let tools: Tools;

/** Keeps lines of path, target and holder, and moves files, as dpkg-divert does. */
const DPKG_DIVERT = `db=$ROOT/var/diversions; moves=; holder=LOCAL; target=
case "$1" in
--listpackage) awk -v p="$2" '$1 == p { print $3 }' $db; exit;;
--truename) awk -v p="$2" '$1 == p { print $2; found = 1 } END { if (!found) print p }' $db; exit;;
esac
while [ $# -gt 0 ]; do case "$1" in
--rename) moves=1;; --no-rename) ;; --local) ;; --package) holder=$2; shift;; --divert) target=$2; shift;;
--add) verb=add; path=$2; shift;; --remove) verb=remove; path=$2; shift;; esac; shift; done
[ -n "$target" ] || target=$path.distrib
if [ $verb = add ]; then
  if [ -n "$moves" ] && [ -e $ROOT$path ]; then
    if [ -e $ROOT$target ]; then echo "dpkg-divert: error: rename involves overwriting '$target'" >&2; exit 2; fi
    mv $ROOT$path $ROOT$target; fi
  echo "$path $target $holder" >> $db; echo "Adding 'diversion of $path'"
else
  target=$(awk -v p="$path" '$1 == p { print $2 }' $db)
  if [ -n "$moves" ] && [ -e $ROOT$target ]; then mv $ROOT$target $ROOT$path; fi
  sed -i "\\\\#^$path #d" $db; echo "Removing 'diversion of $path'"
fi`;

beforeEach(() => {
  sandbox = makeSandbox();
  for (const folder of ["etc", "var"]) mkdirSync(join(sandbox.root, folder));
  writeFileSync(join(sandbox.root, "var/diversions"), "");
  writeFileSync(join(sandbox.root, "etc/a"), "mine\n");
  tools = withTools(sandbox, { "dpkg-divert": DPKG_DIVERT });
  return () => sandbox[Symbol.dispose]();
});

const host = (): Sandbox => ({ ...sandbox, system: tools.system });
const run = (call: ReturnType<typeof dpkg_divert>) => pass(call, tools.system, sandbox.context());
const writes = (): readonly string[] =>
  tools.calls().filter((call) => !/--(listpackage|truename)/.test(call));
const read = (path: string): string => readFileSync(join(sandbox.root, path), "utf8");

describe("dpkg_divert", () => {
  it("diverts a file, and leaves it where it is", async () => {
    const { first } = await checkApplyAgain(host(), dpkg_divert({ path: "/etc/a" }));
    expect(first.data).toEqual({
      diversion: { path: "/etc/a", state: "present", divert: "/etc/a.distrib", holder: "LOCAL" },
      commands: ["dpkg-divert --no-rename --local --add /etc/a"],
      messages: ["Adding 'diversion of /etc/a'"],
    });
    expect(read("etc/a")).toBe("mine\n");
  });

  it("moves the file aside and back", async () => {
    await checkApplyAgain(host(), dpkg_divert({ path: "/etc/a", divert: "/etc/b", rename: true }));
    expect([existsSync(join(sandbox.root, "etc/a")), read("etc/b")]).toEqual([false, "mine\n"]);
    await checkApplyAgain(host(), dpkg_divert({ path: "/etc/a", state: "absent", rename: true }));
    expect(read("etc/a")).toBe("mine\n");
  });

  it("replaces a diversion by another, and moves nothing", async () => {
    await run(dpkg_divert({ path: "/etc/a" }));
    await checkApplyAgain(host(), dpkg_divert({ path: "/etc/a", holder: "branding", rename: true }));
    expect(writes().slice(1)).toEqual([
      "dpkg-divert --no-rename --remove /etc/a",
      "dpkg-divert --no-rename --package branding --add /etc/a",
    ]);
  });

  it("replaces a file in the way by force alone", async () => {
    writeFileSync(join(sandbox.root, "etc/a.distrib"), "other\n");
    const given = { path: "/etc/a", rename: true };
    const thrown = await run(dpkg_divert(given)).catch((error: unknown) => error);
    expect((thrown as Error).message).toMatch(/overwriting.*set force/);
    expect(failureData(thrown)).toMatchObject({ rc: 2, diversion: { state: "absent" } });
    await checkApplyAgain(host(), dpkg_divert({ ...given, force: true }));
    expect(read("etc/a.distrib")).toBe("mine\n");
  });

  it("keeps a file that stands alone", async () => {
    await checkApplyAgain(
      host(),
      dpkg_divert({ path: "/etc/new", divert: "/etc/a", rename: true, force: true }),
    );
    expect(read("etc/a")).toBe("mine\n");
  });

  it("refuses to divert a path to itself, and relative paths", () => {
    expect(() => dpkg_divert({ path: "/etc/a", divert: "/etc/a" })).toThrow(/to itself/);
    expect(() => dpkg_divert({ path: "etc/a" })).toThrow(/absolute/);
  });
});
