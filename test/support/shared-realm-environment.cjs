const vm = require('node:vm');
const { TestEnvironment: NodeEnvironment } = require('jest-environment-node');
const { LegacyFakeTimers, ModernFakeTimers } = require('@jest/fake-timers');
const { ModuleMocker } = require('jest-mock');

/** Stands for the realm of the process itself, which Node gives no object for. */
const ITS_OWN = Object.freeze({});

const { compileFunction } = vm;
vm.compileFunction = (code, parameters, options) =>
  compileFunction(
    code,
    parameters,
    options?.parsingContext === ITS_OWN ? { ...options, parsingContext: undefined } : options,
  );

/**
 * Jest makes a realm of its own for each test file, in which every package is loaded again: six seconds for each suite
 * that starts the product. Here test files run in the realm of Jest's process, and share what packages it has loaded
 * (shared-packages-runtime.cjs). What is ours is still loaded for each file. As a further gain, `instanceof Error` is true of
 * Node's errors, as it is in production.
 */
class SharedRealmEnvironment extends NodeEnvironment {
  constructor(config, context) {
    super(config, context);
    this.global = globalThis;
    const { projectConfig } = config;
    this.moduleMocker = new ModuleMocker(globalThis);
    this.fakeTimers.dispose();
    this.fakeTimers = new LegacyFakeTimers({
      config: projectConfig,
      global: globalThis,
      moduleMocker: this.moduleMocker,
      timerConfig: { idToRef: (id) => id, refToId: (timer) => timer?.id },
    });
    this.fakeTimersModern = new ModernFakeTimers({ config: projectConfig, global: globalThis });
    this.before = { console: globalThis.console, exit: process.exit };
  }

  getVmContext() {
    return this.context === null ? null : ITS_OWN;
  }

  async teardown() {
    await super.teardown();
    globalThis.console = this.before.console;
    process.exit = this.before.exit;
  }
}

module.exports = SharedRealmEnvironment;
