import ts from "typescript";

/** Types without the docs of what they do not export, which nobody gets to see, and without empty lines. */
export function withoutInternalDocs(file: string, types: string): string {
  const { statements } = ts.createSourceFile(file, types, ts.ScriptTarget.Latest);
  const exported = new Set(statements.flatMap(namesExported));
  return statements
    .map((statement) => {
      const text = types.slice(statement.pos, statement.end);
      const isInternal = namesDeclared(statement).some((name) => !exported.has(name));
      return isInternal ? text.replace(/^[ \t]*\/\*\*[^]*?\*\/\n/gm, "") : text;
    })
    .join("")
    .replace(/\n{2,}/g, "\n");
}

function namesExported(statement: ts.Statement): readonly string[] {
  if (!ts.isExportDeclaration(statement)) return [];
  const { exportClause: clause } = statement;
  if (clause === undefined || !ts.isNamedExports(clause)) return [];
  return clause.elements.map(({ name, propertyName }) => (propertyName ?? name).text);
}

function namesDeclared(statement: ts.Statement): readonly string[] {
  const isNamed = ts.isClassDeclaration(statement) || ts.isInterfaceDeclaration(statement);
  if (isNamed || ts.isTypeAliasDeclaration(statement)) return [statement.name?.text ?? ""];
  return [];
}
