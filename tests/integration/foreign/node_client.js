// Node's `soap` as a vendor would use it, from the WSDL alone. Usage: node_client.js ADDRESS ORGAN_ID TOKEN
// Prints one JSON object.
const path = require("path");
const { createRequire } = require("module");
const soap = createRequire(path.join(process.cwd(), "package.json"))("soap");

async function run(address, organ, token) {
  const credentials = { OrganId: organ, Token: token };
  const result = {};
  for (const port of ["Soap11", "Soap12"]) {
    const client = await soap.createClientAsync(`${address}?wsdl`, { forceSoap12Headers: port === "Soap12" });
    const call = async (operation, body) => {
      const [answer] = await new Promise((resolve, reject) =>
        client.EDoc[port][operation](body, (error, ...rest) => (error ? reject(error) : resolve(rest))));
      return answer;
    };
    const directory = await call("GetOrganizations", credentials);
    const pending = await call("GetPendingDocumentIds", credentials);
    const confirmed = await call("ConfirmReceived", { ...credentials, DocumentId: 999999 });
    client.addSoapHeader({ CheckPermission: credentials });
    const permission = await call("CheckPermission", {});
    result[port] = {
      organizations: directory.Organizations.Organization.map((one) => [one.OrganId, one.OrganName]),
      pending: (pending.DocumentIds && pending.DocumentIds.DocumentId) || [],
      permission: permission.Report.IsSuccess,
      refusal: confirmed.Report.ErrorList.Error[0],
    };
  }
  return result;
}

run(...process.argv.slice(2)).then(
  (result) => process.stdout.write(JSON.stringify(result)),
  (error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  },
);
