import { describeActions } from "./lib/actions.ts";

// With the other actions-*.test.ts, every test of test/actions.
describeActions("others");
