import { describe, expect, it } from "vitest";
import { createTemplates } from "../../src/template/index.ts";

// Expected values: the results of ansible-core 2.14 with the same files.
const FILES: Readonly<Record<string, string>> = {
  "el.csv": "name,sym,num\nLi,Lithium,3\nNa,Sodium,11\n",
  "ansible.csv": "k\tv1\tv2\nx\t1\t2\n",
  "u.ini": [
    "[production]",
    "user = robert",
    "pass=some%%thing",
    "Multi = a",
    "  b",
    "; comment",
    "empty =",
    "URL: http://x/%(user)s",
    "[global]",
    "g=1",
    "[DEFAULT]",
    "d=dv",
    "",
  ].join("\n"),
  "latin.ini": "[s]\na = \udce9\udca4\n",
  "u.properties": "user.name=robert\nuser.pass = foo\n",
};
const templates = createTemplates({ loader: { read: (name) => FILES[name] ?? null } });
const GROUPS = { all: ["web1", "web2", "db1"], web: ["web1", "web2"], db: ["db1"] };
const query = (call: string) => templates.evaluate(`query(${call})`, { groups: GROUPS });

describe("lookups in files", () => {
  it.each<[call: string, expected: unknown]>([
    ["'csvfile', 'Li', file='el.csv', delimiter=','", ["Lithium"]],
    ["'csvfile', 'Li file=el.csv delimiter=, col=2'", ["3"]],
    ["'csvfile', 'Zz', file='el.csv', delimiter=','", []],
    ["'csvfile', 'Zz', file='el.csv', delimiter=',', default='q'", ["q"]],
    ["'csvfile', 'x', delimiter='TAB', col=2", ["2"]],
    ["'csvfile', 'Li', 'Na', file='el.csv', delimiter=','", ["Lithium", "Sodium"]],
    ["'ini', 'user section=production file=u.ini'", ["robert"]],
    ["'ini', 'g', file='u.ini'", ["1"]],
    ["'ini', 'nope', section='production', file='u.ini'", [""]],
    ["'ini', 'nope', section='production', file='u.ini', default='q'", ["q"]],
    ["'ini', 'pass', 'd', section='production', file='u.ini'", ["some%thing", "dv"]],
    ["'ini', 'multi', section='production', file='u.ini'", ["a\nb"]],
    ["'ini', 'multi', section='production', file='u.ini', case_sensitive=true", [""]],
    ["'ini', 'Multi', section='production', file='u.ini', case_sensitive=true", ["a\nb"]],
    ["'ini', 'url', section='production', file='u.ini'", ["http://x/robert"]],
    ["'ini', 'us.*', section='production', file='u.ini', re=true", ["robert"]],
    ["'ini', 'user.name', 'user.pass', type='properties', file='u.properties'", ["robert", "foo"]],
    ["'ini', 'a', section='s', file='latin.ini', encoding='ISO8859-15'", ["é€"]],
    ["'first_found', ['nope', 'u.ini']", ["u.ini"]],
    ["'first_found', {'files': 'nope,u.ini'}", ["u.ini"]],
    ["'first_found', [{'files': ['nope']}, {'files': ['el.csv']}]", ["el.csv"]],
    ["'first_found', ['nope'], skip=true", []],
    ["'first_found', {'files': ['nope'], 'skip': true}", []],
  ])("%s", (call, expected) => {
    expect(query(call)).toEqual(expected);
  });

  it.each([
    ["'csvfile', 'Li', file='el.csv', delimiter=',', col='9'", "csvfile: list index out of range"],
    ["'csvfile', '', file='el.csv'", "Search key is required but was not found"],
    ["'csvfile', 'Li file=el.csv bad=2'", "bad is not a valid option"],
    ["'ini', 'user', section='zz', file='u.ini'", "No section 'zz' in u.ini"],
    ["'ini', 'user', file='nope.ini'", "there is no file 'nope.ini'"],
    ["'first_found', ['nope']", "No file was found when using first_found."],
    ["'pipe', 'true'", "lookup pipe is not available"],
    ["'url', 'http://x'", "lookup url is made on the controller"],
    ["'password', 'x'", "lookup password keeps a file on the controller"],
  ])("%s fails", (call, message) => {
    expect(() => query(call)).toThrow(message);
  });
});

describe("passwords of no file", () => {
  it.each([
    ["/dev/null seed=x length=12", "O9iX65WvW9::"],
    ["/dev/null seed=x", "O9iX65WvW9::bS:gx:86"],
    ["/dev/null seed=x length=12 chars=ascii_letters,digits", "OuMMEeW6yLDQ"],
    ["/dev/null seed=x length=12 chars=hexdigits", "EaDDf2cCeFec"],
    ["/dev/null seed=x chars=ascii_lowercase,,", "tjssobxlrnunlelorypp"],
  ])("%s", (term, expected) => {
    expect(query(`'password', '${term}'`)).toEqual([expected]);
  });

  it("are made by chance of the characters that are asked for, and hashed", () => {
    expect(query("'password', '/dev/null chars=digits length=7'")).toEqual([
      expect.stringMatching(/^\d{7}$/),
    ]);
    expect(query("'password', '/dev/null encrypt=md5_crypt'")).toEqual([
      expect.stringMatching(/^\$1\$.{8}\$.{22}$/),
    ]);
    expect(() => query("'password', '/dev/null bad=x'")).toThrow(
      "Unrecognized parameter(s) given to password lookup: bad",
    );
  });
});

describe("inventory_hostnames", () => {
  it.each([
    ["all", ["web1", "web2", "db1"]],
    ["web", ["web1", "web2"]],
    ["db:web1", ["db1", "web1"]],
    ["all:!web", ["db1"]],
    ["all:&web:!web2", ["web1"]],
    ["w*2,db", ["web2", "db1"]],
    ["~db\\\\d", ["db1"]],
    ["!db", ["web1", "web2"]],
    ["none", []],
  ])("%s", (pattern, hosts) => {
    expect(query(`'inventory_hostnames', '${pattern}'`)).toEqual(hosts);
  });
});

describe("random_string", () => {
  it("has the characters that are asked for", () => {
    const text = (options: string) => String((query(`'random_string', ${options}`) as string[])[0]);
    expect(text("length=12")).toHaveLength(12);
    expect(text("length=9, special=false, upper=false, numbers=false")).toMatch(/^[a-z]{9}$/);
    expect(text("length=6, min_numeric=6")).toMatch(/^\d{6}$/);
    expect(text("length=6, override_all='xy'")).toMatch(/^[xy]{6}$/);
  });
});

it("an encrypted text is opened by its password alone", () => {
  const say = (text: string) => templates.renderString(text, {});
  expect(say("{{ 'secret' | vault('pw') | unvault('pw') }}")).toBe("secret");
  expect(() => say("{{ 'secret' | vault('pw') | unvault('other') }}")).toThrow("Unable to decrypt");
});
