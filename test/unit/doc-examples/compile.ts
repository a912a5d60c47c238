import { resolve } from "node:path";

import ts from "typescript";

import type { Example } from "./examples.js";

const ROOT = resolve(import.meta.dirname, "../../..");

/** The module with the names that examples use. */
const NAMES = { specifier: "./names.js", file: resolve(import.meta.dirname, "names.ts") };

const sourceFiles = new Map<string, ts.SourceFile | undefined>();

/** A file of JSON with comments. */
export function readJson(file: string): unknown {
  const read = ts.readConfigFile(resolve(ROOT, file), (path) => ts.sys.readFile(path));
  if (read.error !== undefined) throw new Error(messageOf(read.error));
  return read.config;
}

/** The entry points of the package: their names, and their files. */
export function entryPoints(): ReadonlyMap<string, string> {
  const { paths = {} } = compilerOptions();
  return new Map(Object.entries(paths).flatMap(([name, [file]]) => (file ? [[name, file]] : [])));
}

/**
 * What TypeScript has against the examples, each a module of its own, as strict as the sources are.
 * What an example does not declare itself is imported from the package, or else from `names.ts`.
 */
export function problemsOf(examples: readonly Example[]): readonly string[] {
  const origins = exportedNames();
  const modules = new Map(
    examples.map((example, index) => [
      resolve(import.meta.dirname, `example-${index}.ts`),
      { example, text: moduleOf(example, origins) },
    ]),
  );
  const program = compile([...modules.keys()], (file) => modules.get(file)?.text);
  return [...modules].flatMap(([file, { example }]) =>
    ts
      .getPreEmitDiagnostics(program, program.getSourceFile(file))
      .map((problem) => `${positionOf(problem, example)}: ${messageOf(problem)}`),
  );
}

function compilerOptions(): ts.CompilerOptions {
  const { options } = ts.parseJsonConfigFileContent(readJson("tsconfig.json"), ts.sys, ROOT);
  return {
    ...options,
    // So that an import need not say whether a name is that of a type.
    verbatimModuleSyntax: false,
    isolatedModules: false,
    // Where an example imports from its neighbour.
    rootDirs: [import.meta.dirname, resolve(ROOT, "examples/telemetry")],
  };
}

/** From where each name can be had. */
function exportedNames(): ReadonlyMap<string, string> {
  const modules = new Map([...entryPoints(), [NAMES.specifier, NAMES.file]]);
  const origins = new Map<string, string>();
  for (const { specifier, name } of exportsOf(modules)) {
    if (!origins.has(name)) origins.set(name, specifier);
  }
  return origins;
}

/** The names of the package in whose own comment there is no example. */
export function namesWithoutExample(): readonly string[] {
  return exportsOf(entryPoints())
    .filter(({ tags }) => !tags.includes("example"))
    .map(({ name }) => name);
}

interface Export {
  readonly specifier: string;
  readonly name: string;
  /** Of its comment. */
  readonly tags: readonly string[];
}

function exportsOf(modules: ReadonlyMap<string, string>): readonly Export[] {
  const program = compile([...modules.values()].map((file) => resolve(ROOT, file)));
  const checker = program.getTypeChecker();
  const declarationOf = (symbol: ts.Symbol): ts.Symbol =>
    symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  return [...modules].flatMap(([specifier, file]) => {
    const source = program.getSourceFile(resolve(ROOT, file));
    const symbol = source && checker.getSymbolAtLocation(source);
    if (symbol === undefined) throw new Error(`${file} is no module`);
    return checker.getExportsOfModule(symbol).map((exported) => ({
      specifier,
      name: exported.name,
      tags: declarationOf(exported)
        .getJsDocTags(checker)
        .map(({ name }) => name),
    }));
  });
}

/** The imports come last, so that each line keeps its place. */
function moduleOf({ text }: Example, origins: ReadonlyMap<string, string>): string {
  const source = ts.createSourceFile("example.ts", text, ts.ScriptTarget.Latest);
  const declared = new Set(source.statements.flatMap(namesDeclaredBy));
  const used = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) used.add(node.text);
    ts.forEachChild(node, visit);
  };
  visit(source);
  const imports = [...used].flatMap((name) => {
    const origin = origins.get(name);
    return origin === undefined || declared.has(name)
      ? []
      : [`import { ${name} } from "${origin}";`];
  });
  return [text, ...imports, "export {};"].join("\n");
}

function namesDeclaredBy(statement: ts.Statement): readonly string[] {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.flatMap(({ name }) => namesBoundBy(name));
  }
  if (ts.isImportDeclaration(statement)) {
    const { name, namedBindings } = statement.importClause ?? {};
    const named =
      namedBindings === undefined
        ? []
        : ts.isNamedImports(namedBindings)
          ? namedBindings.elements
          : [namedBindings];
    return [...(name === undefined ? [] : [name.text]), ...named.map(({ name }) => name.text)];
  }
  const isNamed =
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement);
  return isNamed && statement.name !== undefined ? [statement.name.text] : [];
}

function namesBoundBy(name: ts.BindingName): readonly string[] {
  if (ts.isIdentifier(name)) return [name.text];
  return name.elements.flatMap((element) =>
    ts.isOmittedExpression(element) ? [] : namesBoundBy(element.name),
  );
}

function compile(
  files: readonly string[],
  textOf: (file: string) => string | undefined = () => undefined,
): ts.Program {
  const options = compilerOptions();
  const disk = ts.createCompilerHost(options);
  return ts.createProgram(files, options, {
    ...disk,
    fileExists: (file) => textOf(file) !== undefined || disk.fileExists(file),
    readFile: (file) => textOf(file) ?? disk.readFile(file),
    getSourceFile: (file, language) => {
      const text = textOf(file);
      if (text !== undefined) return ts.createSourceFile(file, text, language, true);
      // Most of them are TypeScript's and Node's own, the same for each program.
      if (!sourceFiles.has(file)) sourceFiles.set(file, disk.getSourceFile(file, language));
      return sourceFiles.get(file);
    },
  });
}

function positionOf({ file, start }: ts.Diagnostic, example: Example): string {
  const line = file && start !== undefined ? file.getLineAndCharacterOfPosition(start).line : 0;
  return `${example.file}:${example.line + line}`;
}

function messageOf({ messageText }: ts.Diagnostic): string {
  return ts.flattenDiagnosticMessageText(messageText, " ");
}
