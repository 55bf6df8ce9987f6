import { CodedError } from "@pyromesh/base";

/** The code of the error that `run` throws; "no error" where it throws none. Other errors are thrown on. */
export function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof CodedError) return thrown.code;
    throw thrown;
  }
  return "no error";
}
