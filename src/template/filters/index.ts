import type { Callable } from "../values.ts";
import { ipFilters, pathFilters, urlFilters } from "./address.ts";
import { dataFilters, hashFilters } from "./data.ts";
import { dateFilters } from "./date.ts";

import { generalFilters, mappingFilters } from "./mapping.ts";
import { numberFilters, randomFilters } from "./number.ts";
import { functionalFilters, sequenceFilters } from "./sequence.ts";
import { regexFilters, textFilters } from "./text.ts";

/** Every filter, by the name templates use. */
export const filters: Readonly<Record<string, Callable>> = {
  ...textFilters,
  ...sequenceFilters,
  ...functionalFilters,
  ...mappingFilters,
  ...numberFilters,
  ...dataFilters,
  ...regexFilters,
  ...hashFilters,
  ...pathFilters,
  ...randomFilters,
  ...generalFilters,
  ...dateFilters,
  ...urlFilters,
  ...ipFilters,
};
