import { describeActions } from "./cases/describe.ts";

describeActions("bundle");
