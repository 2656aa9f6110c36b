import { beforeEach, describe, expect, it } from "vitest";
import { getent } from "../../../src/actions/system/getent.ts";
import { withTools } from "../fake-tools.ts";
import { makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;

beforeEach(() => {
  sandbox = makeSandbox();
  return () => sandbox[Symbol.dispose]();
});

type Params = Parameters<typeof getent>[0];

/** What a host would answer to these very arguments. */
const ANSWERS = `case "$*" in
"passwd root") echo "root:x:0:0:root:/root:/bin/sh";;
"passwd nobody") exit 2;;
"-- passwd -x") exit 2;;
"-s files services http") echo "http                  80/tcp www";;
hosts) printf '127.0.0.1       localhost\\n\\n10.0.0.1        a b\\n127.0.0.1       web1\\n';;
"group") printf 'root:x:0:\\nsudo:x:27:ann,bob\\n';;
"ethers x") exit 3;;
*) exit 1;;
esac`;

const ask = (params: Params, check = false) =>
  pass(getent(params), withTools(sandbox, { getent: ANSWERS }).system, sandbox.context({ check }));

describe("getent", () => {
  it.each<[string, Params, unknown]>([
    [
      "the fields of an entry",
      { database: "passwd", key: "root" },
      { getent_passwd: { root: ["x", "0", "0", "root", "/root", "/bin/sh"] } },
    ],
    [
      "all entries, empty fields included",
      { database: "group" },
      { getent_group: { root: ["x", "0", ""], sudo: ["x", "27", "ann,bob"] } },
    ],
    [
      "a list for each of a key that occurs several times",
      { database: "hosts" },
      { getent_hosts: { "127.0.0.1": [["localhost"], ["web1"]], "10.0.0.1": ["a", "b"] } },
    ],
    [
      "an entry from one service",
      { database: "services", key: "http", service: "files" },
      { getent_services: { http: ["80/tcp", "www"] } },
    ],
    [
      "fields between other signs",
      { database: "passwd", key: "root", split: "/" },
      { getent_passwd: { "root:x:0:0:root:": ["root:", "bin", "sh"] } },
    ],
  ])("gives %s, in check mode too", async (_what, params, facts) => {
    for (const check of [false, true]) {
      const { state, data } = await ask(params, check);
      expect(state).toBe("unchanged");
      expect(data).toEqual({ ansible_facts: facts });
    }
  });

  it("gives null for a missing key that may be missing", async () => {
    const { data, inspected } = await ask({ database: "passwd", key: "nobody", fail_key: false });
    expect(data).toEqual({ ansible_facts: { getent_passwd: { nobody: null } } });
    expect(inspected?.message).toMatch(/key could not be found/);
  });

  it.each<[Params, RegExp]>([
    [{ database: "passwd", key: "nobody" }, /key could not be found/],
    [{ database: "passwd", key: "-x" }, /key could not be found/],
    [{ database: "nonsense" }, /database unknown/],
    [{ database: "ethers", key: "x" }, /Enumeration not supported/],
  ])("fails for %j", async (params, message) => {
    await expect(ask(params)).rejects.toThrow(message);
  });

  it("says which package has the program", async () => {
    const { system } = withTools(sandbox, { getent: null });
    await expect(pass(getent({ database: "passwd" }), system, sandbox.context())).rejects.toThrow(/libc-bin/);
  });
});
