/** One line of ASCII on a page, as a PDF that viewers open (ISO 32000-1): stands for a letter on paper. */
export function plainPdf(line: string): Buffer {
  const text = `BT /F1 14 Tf 60 760 Td (${line.replaceAll(/[^ -~]|[()\\]/g, '')}) Tj ET`;
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>',
    `<< /Length ${text.length.toString()} >>\nstream\n${text}\nendstream`,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
  ];
  let body = '%PDF-1.4\n';
  const offsets = objects.map((object, index) => {
    const at = body.length;
    body += `${(index + 1).toString()} 0 obj\n${object}\nendobj\n`;
    return at;
  });
  const rows = offsets.map((at) => `${at.toString().padStart(10, '0')} 00000 n \n`).join('');
  const size = (objects.length + 1).toString();
  const table = `xref\n0 ${size}\n0000000000 65535 f \n${rows}`;
  return Buffer.from(
    `${body}${table}trailer\n<< /Size ${size} /Root 1 0 R >>\nstartxref\n${body.length.toString()}\n%%EOF\n`,
    'latin1',
  );
}
