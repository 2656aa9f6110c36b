import { describe, expect, it } from "vitest";
import { coerceArguments } from "../../../src/actions/coerce.ts";
import { mysql_query } from "../../../src/actions/mysql/mysql-query.ts";
import { pgText } from "../../../src/actions/postgresql/postgres-client.ts";
import { postgresql_query } from "../../../src/actions/postgresql/postgresql-query.ts";
import { fillArguments } from "../../../src/actions/shared/query-arguments.ts";

describe("the values of a statement", () => {
  it("are put in by place or by name, quoted", () => {
    const positional = [1, "it's", null, true, ["a", 2], { b: [1] }];
    expect(fillArguments("f(%s, %s, %s, %s, %s, %s) LIKE '10%%'", positional, undefined, pgText)).toBe(
      `f(1, 'it''s', NULL, TRUE, ARRAY['a', 2], '{"b": [1]}') LIKE '10%'`,
    );
    expect(fillArguments("%(a)s + %(a)s = %(b)s", undefined, { a: 1.5, b: "x" }, pgText)).toBe(
      "1.5 + 1.5 = 'x'",
    );
    expect(fillArguments("x LIKE '10%' OR '%s'", undefined, undefined, pgText)).toBe("x LIKE '10%' OR '%s'");
  });

  it("must all be there", () => {
    expect(() => fillArguments("%s, %s", [1], undefined, pgText)).toThrow(
      "the statement has no value for %s",
    );
    expect(() => fillArguments("%(c)s", undefined, { a: 1 }, pgText)).toThrow(
      "the statement has no value for %(c)s",
    );
  });
});

describe.each([mysql_query, postgresql_query])("a statement", (action) => {
  it("with commas is one, and a list is several", () => {
    const query = (given: unknown): unknown => {
      const call = action(coerceArguments(action, { query: given }) as Parameters<typeof action>[0]);
      return call.params.query;
    };
    expect(query("SELECT 1, 2")).toEqual(["SELECT 1, 2"]);
    expect(query(["SELECT 1, 2", "SELECT 3"])).toEqual(["SELECT 1, 2", "SELECT 3"]);
    expect(() => query({ a: 1 })).toThrow(/must be a statement/);
  });
});
