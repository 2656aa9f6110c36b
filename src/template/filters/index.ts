import type { Callable } from "../values.ts";
import { dataFilters } from "./data.ts";
import { dateFilters } from "./date.ts";
import { functionalFilters } from "./functional.ts";
import { generalFilters } from "./general.ts";
import { hashFilters } from "./hash.ts";
import { ipFilters } from "./ip.ts";
import { mappingFilters } from "./mapping.ts";
import { numberFilters } from "./number.ts";
import { pathFilters } from "./path.ts";
import { randomFilters } from "./random.ts";
import { regexFilters } from "./regex.ts";
import { sequenceFilters } from "./sequence.ts";
import { textFilters } from "./text.ts";
import { urlFilters } from "./url.ts";

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
