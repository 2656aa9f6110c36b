import * as v from "valibot";
import { text } from "../shared/params.ts";
import { refuseUnitName } from "./unit-state.ts";

/** A parameter that names one unit or service: patterns are refused, as Ansible does. */
export function unitText(description: string) {
  return v.pipe(
    text(description),
    v.check(
      (name) => refuseUnitName(name) === undefined,
      ({ input }) => refuseUnitName(input) ?? "",
    ),
  );
}
