/** The course of a run: over, under a controller, or without one. */
export type Course = "ended" | "controlled" | "left";

/** The fields of a run's control hash that tell its course. */
export const COURSE_FIELDS = ["ended", "beat"] as const;

/** A controller without a sign of life for so long is gone; it gives one every 2 s. */
const GONE_SECONDS = 10;

/**
 * Tell a run's course from {@link COURSE_FIELDS}, at a time of the server's clock. `goneSeconds`: seconds without a sign of
 * life after which a controller is gone, default 10.
 */
export function courseAt(
  [ended, beat]: readonly (string | null)[],
  seconds: number,
  goneSeconds = GONE_SECONDS,
): Course {
  if (ended === "1") return "ended";
  // A time that is no number, or is to come, is nobody's sign of life.
  return Math.abs(seconds - Number(beat ?? 0)) <= goneSeconds ? "controlled" : "left";
}
