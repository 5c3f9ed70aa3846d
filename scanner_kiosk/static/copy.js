/* The fields of a copy, as rows of a list. */

/** Fill a <dl> with a copy's fields; `say` and `own` give words, `day` writes a date. */
export function fieldsInto(list, copy, { say, own, day }) {
  list.replaceChildren(
    ...copy.fields.reduce((rows, field) => {
      const dt = document.createElement("dt");
      const dd = document.createElement("dd");
      dt.textContent = own(field, "label");
      dd.textContent = field.disclosure === "MATCH" ? say(`value.${field.value}`) : day(field.value);
      return [...rows, dt, dd];
    }, []),
  );
}
