// Two linters of Amazon States Language that only npm has; they see different faults.
// Arguments: definition files (JSON). Output: a JSON list of {file, message}.
import { readFileSync } from "node:fs";
import validate from "asl-validator";
import languageService from "amazon-states-language-service";

const { TextDocument, getLanguageService } = languageService;
const ERROR_OR_WARNING = [1, 2]; // LSP DiagnosticSeverity: 1 error, 2 warning, 3 information, 4 hint

function fromValidator(file, text) {
  const { errors } = validate(JSON.parse(text), { checkArn: true, checkPaths: true });
  return errors.map((error) => ({ file, message: `asl-validator: ${error["Error code"]} ${error.Message}` }));
}

async function fromLanguageService(file, text) {
  const service = getLanguageService({});
  const document = TextDocument.create(`file://${file}`, "json", 1, text);
  const found = await service.doValidation(document, service.parseJSONDocument(document));
  return found
    .filter(({ severity }) => ERROR_OR_WARNING.includes(severity ?? 1))
    .map(({ message, range }) => {
      const place = `line ${range.start.line + 1}, ${JSON.stringify(document.getText(range))}`;
      return { file, message: `amazon-states-language-service: ${place}: ${message}` };
    });
}

const faults = [];
for (const file of process.argv.slice(2)) {
  const text = readFileSync(file, "utf8");
  faults.push(...fromValidator(file, text), ...(await fromLanguageService(file, text)));
}
process.stdout.write(JSON.stringify(faults));
