import { describeActions } from "./cases/describe.ts";

describeActions("direct");
