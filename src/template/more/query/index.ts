import { type Callable, callable, defined, str } from "../../values.ts";
import { evaluate } from "./evaluate.ts";
import { parseQuery } from "./parse.ts";

/** The filter of community.general that finds values by an expression of JMESPath, https://jmespath.org. */
export const queryFilters: Readonly<Record<string, Callable>> = {
  json_query: callable(["data", "expr"], (data: unknown, expression: unknown) =>
    evaluate(parseQuery(str(expression)), defined(data)),
  ),
};
