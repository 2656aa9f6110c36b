import { definePlaybook } from "volley";
import { ALL_CASES } from "./all.ts";

/** Every case as a task of its own, tagged so that one at a time can be picked. */
export default definePlaybook([
  {
    name: "Cases",
    hosts: "all",
    tasks({ task }) {
      for (const [group, cases] of Object.entries(ALL_CASES)) {
        for (const [index, { name, call }] of cases.entries())
          task(name, call, { tags: `${group}-${index}` });
      }
    },
  },
]);
