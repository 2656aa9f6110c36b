import * as volley from "../../index.ts";
import * as api from "../../playbook-api.ts";

/** List the names of all actions, in alphabetical order. None is loaded for that. */
export function actionNames(): readonly string[] {
  return Object.keys(volley)
    .filter((name) => !(name in api))
    .sort();
}
