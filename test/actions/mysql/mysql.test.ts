import { describe, expect, it } from "vitest";
import {
  isLocked,
  nativeHash,
  readExpiry,
  readTls,
  tlsClause,
} from "../../../src/actions/mysql/mysql-account.ts";
import { readResults, sqlName, sqlText } from "../../../src/actions/mysql/mysql-client.ts";
import { mysql_db } from "../../../src/actions/mysql/mysql-db.ts";
import {
  afterChange,
  comparePrivileges,
  type PrivilegeMode,
  privilegeStatements,
  privilegeText,
  readGrants,
  readPrivileges,
} from "../../../src/actions/mysql/mysql-privileges.ts";
import { mysql_user } from "../../../src/actions/mysql/mysql-user.ts";
import { makeSandbox, pass } from "../harness.ts";

// What needs a server is tested with real ones: test/fleet/cases/databases.ts.

describe("the client's output", () => {
  it("tells NULL from text, and keeps every character", () => {
    const xml = `<?xml version="1.0"?>

<resultset statement="select 1 &lt;row&gt;" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <row>
	<field name="a&amp;b">x
y &lt;&gt;&quot;</field>
	<field name="n" xsi:nil="true" />
	<field name="e"></field>
  </row>
</resultset>
<?xml version="1.0"?>

<resultset statement="select 1" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"></resultset>
`;
    expect(readResults(xml)).toEqual([[{ "a&b": 'x\ny <>"', n: null, e: "" }], []]);
    expect(readResults("")).toEqual([]);
  });

  it("is asked for with quoted values", () => {
    expect(sqlText("it's \\ 1")).toBe("'it''s \\\\ 1'");
    expect(sqlName("a`b")).toBe("`a``b`");
  });
});

describe("an account", () => {
  it("is known by the hash of its password", () => {
    expect(nativeHash("password")).toBe("*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19");
    expect(nativeHash("")).toBe("");
  });

  it("says what it requires, and when it ends", () => {
    const definition =
      "CREATE USER `a`@`%` IDENTIFIED BY PASSWORD '*X' REQUIRE ISSUER '/CN=it''s' AND CIPHER 'C' WITH MAX_USER_CONNECTIONS 3 PASSWORD EXPIRE INTERVAL 9 DAY ACCOUNT LOCK";
    expect(readTls(definition)).toEqual({ ISSUER: "/CN=it's", CIPHER: "C" });
    expect(readTls("CREATE USER `a`@`%` REQUIRE SSL")).toEqual({ SSL: null });
    expect(readTls("CREATE USER `a`@`%` REQUIRE NONE")).toEqual({});
    expect(tlsClause({ ISSUER: "/CN=it's", CIPHER: "C" })).toBe("REQUIRE ISSUER '/CN=it''s' AND CIPHER 'C'");
    expect([
      readExpiry(definition),
      readExpiry("x PASSWORD EXPIRE NEVER"),
      readExpiry("x PASSWORD EXPIRE"),
      readExpiry("x"),
    ]).toEqual(["INTERVAL 9 DAY", "NEVER", "", null]);
    expect([isLocked(definition), isLocked("CREATE USER `a`@`%` ACCOUNT UNLOCK")]).toEqual([true, false]);
  });
});

const GRANTS = [
  "GRANT USAGE ON *.* TO `ann`@`localhost` IDENTIFIED BY PASSWORD '*F0'",
  "GRANT SELECT, INSERT ON `shop`.* TO `ann`@`localhost` WITH GRANT OPTION",
  "GRANT UPDATE, SELECT (`b`, `a`) ON `shop`.`t1` TO `ann`@`localhost`",
  "GRANT EXECUTE ON FUNCTION `shop`.`f` TO `ann`@`localhost`",
  "GRANT PROXY ON ''@'%' TO 'ann'@'localhost' WITH GRANT OPTION",
  "GRANT `reader` TO `ann`@`localhost`",
];

describe("privileges", () => {
  it("are read from grants", () => {
    expect(privilegeText(readGrants(GRANTS, true))).toBe(
      "FUNCTION `shop`.`f`: EXECUTE\n`shop`.*: GRANT, INSERT, SELECT\n`shop`.`t1`: SELECT (`a`, `b`), UPDATE\n",
    );
  });

  it("are read from playbooks", () => {
    const text =
      "shop.*:select,INSERT,GRANT/`a.b`.t1:SELECT(B, a),UPDATE/ *.*:all privileges,REQUIRESSL/x.y:USAGE";
    const { privileges, requiresTls } = readPrivileges(text, false);
    expect(privilegeText(privileges)).toBe(
      "*.*: ALL\n`a.b`.`t1`: SELECT (`a`, `b`), UPDATE\n`shop`.*: GRANT, INSERT, SELECT\n",
    );
    expect(requiresTls).toBe(true);
    expect(readPrivileges({ "shop.*": ["select", "INSERT"] }, false)).toEqual(
      readPrivileges("shop.*:SELECT,INSERT", false),
    );
    expect(() => readPrivileges("shop", false)).toThrow(/"shop" must be written db.table:PRIVILEGES/);
  });

  it.each<[string, string, PrivilegeMode, readonly string[]]>([
    ["the same", "shop.*:INSERT,SELECT,GRANT/shop.t1:SELECT(a,b),UPDATE/FUNCTION shop.f:EXECUTE", "set", []],
    [
      "others",
      "shop.*:SELECT,DELETE/FUNCTION shop.f:EXECUTE",
      "set",
      [
        "REVOKE GRANT OPTION ON `shop`.* FROM U",
        "REVOKE INSERT ON `shop`.* FROM U",
        "REVOKE UPDATE, SELECT (`a`, `b`) ON `shop`.`t1` FROM U",
        "GRANT DELETE ON `shop`.* TO U",
      ],
    ],
    [
      "more",
      "shop.*:DELETE/new.*:ALL,GRANT",
      "append",
      ["GRANT DELETE ON `shop`.* TO U", "GRANT ALL ON `new`.* TO U WITH GRANT OPTION"],
    ],
    ["fewer", "shop.*:INSERT,DELETE/none.*:SELECT", "subtract", ["REVOKE INSERT ON `shop`.* FROM U"]],
  ])("become %s", (_what, wanted, mode, statements) => {
    const change = comparePrivileges(
      readGrants(GRANTS, false),
      readPrivileges(wanted, false).privileges,
      mode,
    );
    expect(privilegeStatements(change, "U")).toEqual(statements);
    const after = afterChange(readGrants(GRANTS, false), change);
    expect(
      privilegeStatements(comparePrivileges(after, readPrivileges(wanted, false).privileges, mode), "U"),
    ).toEqual([]);
  });

  it("know ALL from its parts", () => {
    const all = readGrants(["GRANT ALL PRIVILEGES ON `shop`.* TO `a`@`%` WITH GRANT OPTION"], false);
    const to = (text: string, mode: PrivilegeMode = "set") =>
      privilegeStatements(comparePrivileges(all, readPrivileges(text, false).privileges, mode), "U");
    expect(to("shop.*:ALL,GRANT")).toEqual([]);
    expect(to("shop.*:SELECT", "append")).toEqual([]);
    expect(to("shop.*:ALL")).toEqual(["REVOKE GRANT OPTION ON `shop`.* FROM U"]);
    expect(to("shop.*:SELECT,GRANT")).toEqual([
      "REVOKE ALL ON `shop`.* FROM U",
      "GRANT SELECT ON `shop`.* TO U WITH GRANT OPTION",
    ]);
    const each = readGrants(["GRANT SELECT, INSERT ON *.* TO `a`@`%`"], false);
    const wanted = readPrivileges("*.*:ALL", false).privileges;
    expect(
      privilegeStatements(comparePrivileges(each, wanted, "set", new Set(["SELECT", "INSERT"])), "U"),
    ).toEqual([]);
    expect(
      privilegeStatements(comparePrivileges(each, wanted, "set", new Set(["SELECT", "DELETE"])), "U"),
    ).toEqual(["GRANT ALL ON *.* TO U"]);
  });
});

describe("parameters", () => {
  it("that do not fit are named", () => {
    expect(() => mysql_db({ name: "all" })).toThrow(/name is not allowed to be 'all'/);
    expect(() => mysql_db({ name: "a", state: "dump" })).toThrow(
      /state is dump but all of the following are missing: target/,
    );
    expect(() => mysql_user({ name: "a", password: "x", encrypted: true })).toThrow(/must be a hash/);
    expect(() => mysql_user({ name: "a", resource_limits: { FOO: 1 } })).toThrow(/MAX_QUERIES_PER_HOUR/);
  });

  it("need a client on the host, and check mode says so", async () => {
    using sandbox = makeSandbox();
    const system = { ...sandbox.system, which: async () => null };
    await expect(pass(mysql_db({ name: "a" }), system, sandbox.context())).rejects.toThrow(
      /there is no mysql client/,
    );
    const { change } = await pass(mysql_user({ name: "a" }), system, sandbox.context({ check: true }));
    expect(change?.unknown).toMatch(/there is no mysql client/);
  });
});
