/**
 * The test report: one line for each group that passes, every failure in full, and a last line for programs: `N passed, N failed` (and `,
 * N skipped`). Skipped tests are named, so that none is skipped unnoticed.
 */
const { reporters, Runner } = require("mocha");

const { EVENT_SUITE_END, EVENT_TEST_PASS, EVENT_TEST_FAIL, EVENT_TEST_PENDING, EVENT_RUN_END } = Runner.constants;

class ClosingLine extends reporters.Base {
  constructor(runner, options) {
    super(runner, options);
    const { checksPassed = 0, checksFailed = 0 } = options?.reporterOptions ?? options?.reporterOption ?? {};
    let passed = Number(checksPassed);
    let failedCount = Number(checksFailed);
    const failed = [];
    const skipped = [];
    let sinceSuite = 0;

    runner.on(EVENT_TEST_PASS, (test) => {
      passed++;
      sinceSuite++;
      if (test.duration > 2000) console.log(`  slow: ${test.fullTitle()} (${test.duration} ms)`);
    });
    runner.on(EVENT_TEST_FAIL, (test, error) => {
      failed.push({ test, error });
      failedCount++;
      console.log(`  FAILED ${test.fullTitle()}`);
    });
    runner.on(EVENT_TEST_PENDING, (test) => skipped.push(test.fullTitle()));
    runner.on(EVENT_SUITE_END, (suite) => {
      if (suite.parent?.root && sinceSuite > 0) {
        console.log(`  ${suite.title}: ${sinceSuite}`);
        sinceSuite = 0;
      }
    });
    runner.once(EVENT_RUN_END, () => {
      if (skipped.length > 0) console.log(`\nskipped:\n${skipped.map((title) => `  ${title}`).join("\n")}`);
      if (failed.length > 0) {
        console.log("");
        reporters.Base.list(failed.map(({ test, error }) => Object.assign(test, { err: error })));
      }
      const closing = `${passed} passed, ${failedCount} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ""}`;
      console.log(`\n${closing}`);
    });
  }
}

module.exports = ClosingLine;
