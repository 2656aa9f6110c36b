import { describe, expect, it } from "vitest";
import {
  conninfo,
  pgName,
  pgQualified,
  pgText,
  readCsv,
} from "../../../src/actions/postgresql/postgres-client.ts";
import { samePostgresPassword } from "../../../src/actions/postgresql/postgres-password.ts";
import { postgresql_db } from "../../../src/actions/postgresql/postgresql-db.ts";
import { postgresql_user } from "../../../src/actions/postgresql/postgresql-user.ts";
import { makeSandbox, pass } from "../harness.ts";

// What needs a server is tested with real ones: test/fleet/cases/databases.ts.

describe("psql's output", () => {
  it.each<[string, readonly (readonly string[])[]]>([
    [
      "a,b\n1,\n",
      [
        ["a", "b"],
        ["1", ""],
      ],
    ],
    ['a\n"x\n""y"", z"\n', [["a"], ['x\n"y", z']]],
    ['"a,b",c\n', [["a,b", "c"]]],
    ["", []],
  ])("%j is read", (text, rows) => {
    expect(readCsv(text)).toEqual(rows);
  });
});

describe("statements", () => {
  it("have quoted values and names", () => {
    expect(pgText("it's")).toBe("'it''s'");
    expect(pgText("a\\'b")).toBe(" E'a\\\\''b'");
    expect(pgName('a"b')).toBe('"a""b"');
    expect(pgQualified('s.t "u')).toBe('"s"."t ""u"');
    expect(pgQualified('"a.b".c')).toBe('"a.b"."c"');
  });

  it("go to the server that is named, and no password with it", () => {
    const login = {
      login_user: "o'brien",
      login_password: "secret",
      login_host: "",
      login_port: 5433,
      login_unix_socket: "/run/pg",
      ssl_mode: "prefer" as const,
      connect_params: { application_name: "x" },
      trust_input: true,
    };
    expect(conninfo(login, "a\\b")).toBe(
      "host='/run/pg' port='5433' user='o\\'brien' dbname='a\\\\b' application_name='x'",
    );
  });
});

describe("a role's password", () => {
  // The example of RFC 7677, as PostgreSQL keeps it.
  const SCRAM =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
  it.each<[string, string | null, boolean]>([
    ["pencil", SCRAM, true],
    ["pencils", SCRAM, false],
    [SCRAM, SCRAM, true],
    ["pencil", "md5fb3cf9b2025e3c05a5b7a2a2bba5e9d3", false],
    ["", null, true],
    ["", SCRAM, false],
    ["pencil", null, false],
    ["md5fb3cf9b2025e3c05a5b7a2a2bba5e9d3", SCRAM, false],
  ])("%s against %s: %s", (password, kept, same) => {
    expect(samePostgresPassword("ann", password, kept)).toBe(same);
  });

  it("is known from MD5, which takes the role's name", () => {
    // md5("pencilann")
    const kept = "md528754acffc5400623f44a44d30b50393";
    expect(samePostgresPassword("bob", "pencil", kept)).toBe(false);
    expect(samePostgresPassword("ann", "pencil", kept)).toBe(true);
  });
});

describe("parameters", () => {
  it("that do not fit are named", () => {
    expect(() => postgresql_db({ name: "a", state: "dump" })).toThrow(/target is required/);
    expect(() => postgresql_user({ name: "a", role_attr_flags: "NOSUPER" })).toThrow(/must be of SUPERUSER/);
  });

  it("need psql on the host, and check mode says so", async () => {
    using sandbox = makeSandbox();
    const system = { ...sandbox.system, which: async () => null };
    await expect(pass(postgresql_db({ name: "a" }), system, sandbox.context())).rejects.toThrow(
      /there is no psql/,
    );
    const { change } = await pass(postgresql_user({ name: "a" }), system, sandbox.context({ check: true }));
    expect(change?.unknown).toMatch(/there is no psql/);
  });
});
