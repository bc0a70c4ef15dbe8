\echo Use "CREATE EXTENSION ""uuid-ossp""" to load this file. \quit

-- The functions of uuid-ossp in SQL, for a Postgres that was built without a UUID library.
-- Versions 3, 4 and 5 give what the original gives. In version 1 the node is random (RFC 9562, 6.10), never the
-- machine's address.

CREATE FUNCTION uuid_nil() RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT '00000000-0000-0000-0000-000000000000'::uuid $$;

CREATE FUNCTION uuid_ns_dns() RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT '6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid $$;

CREATE FUNCTION uuid_ns_url() RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT '6ba7b811-9dad-11d1-80b4-00c04fd430c8'::uuid $$;

CREATE FUNCTION uuid_ns_oid() RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT '6ba7b812-9dad-11d1-80b4-00c04fd430c8'::uuid $$;

CREATE FUNCTION uuid_ns_x500() RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT '6ba7b814-9dad-11d1-80b4-00c04fd430c8'::uuid $$;

CREATE FUNCTION uuid_generate_v4() RETURNS uuid LANGUAGE sql VOLATILE STRICT PARALLEL SAFE
AS $$ SELECT pg_catalog.gen_random_uuid() $$;

CREATE FUNCTION uuid_generate_v1mc() RETURNS uuid LANGUAGE plpgsql VOLATILE STRICT PARALLEL SAFE
AS $$
DECLARE
  -- Steps of 100 ns since 1582-10-15.
  ticks bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 10 + 122192928000000000;
  noise bytea := uuid_send(gen_random_uuid());
BEGIN
  RETURN (
    lpad(to_hex(ticks & 4294967295), 8, '0')
    || lpad(to_hex((ticks >> 32) & 65535), 4, '0')
    || lpad(to_hex(((ticks >> 48) & 4095) | 4096), 4, '0')
    || lpad(to_hex((get_byte(noise, 0) & 63) | 128), 2, '0') || lpad(to_hex(get_byte(noise, 1)), 2, '0')
    || lpad(to_hex(get_byte(noise, 10) | 1), 2, '0') || encode(substring(noise FROM 12 FOR 5), 'hex')
  )::uuid;
END
$$;

CREATE FUNCTION uuid_generate_v1() RETURNS uuid LANGUAGE plpgsql VOLATILE STRICT PARALLEL SAFE
AS $$
DECLARE
  ticks bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 10 + 122192928000000000;
  noise bytea := uuid_send(gen_random_uuid());
BEGIN
  RETURN (
    lpad(to_hex(ticks & 4294967295), 8, '0')
    || lpad(to_hex((ticks >> 32) & 65535), 4, '0')
    || lpad(to_hex(((ticks >> 48) & 4095) | 4096), 4, '0')
    || lpad(to_hex((get_byte(noise, 0) & 63) | 128), 2, '0') || lpad(to_hex(get_byte(noise, 1)), 2, '0')
    || lpad(to_hex(get_byte(noise, 10) | 1), 2, '0') || encode(substring(noise FROM 12 FOR 5), 'hex')
  )::uuid;
END
$$;

CREATE FUNCTION uuid_generate_v3(namespace uuid, name text) RETURNS uuid
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
  digest bytea := decode(md5(uuid_send(namespace) || convert_to(name, 'UTF8')), 'hex');
BEGIN
  digest := set_byte(digest, 6, (get_byte(digest, 6) & 15) | 48);
  digest := set_byte(digest, 8, (get_byte(digest, 8) & 63) | 128);
  RETURN encode(digest, 'hex')::uuid;
END
$$;

CREATE FUNCTION uuid_generate_v5(namespace uuid, name text) RETURNS uuid
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
-- SHA-1 (RFC 3174), which the server itself does not have.
DECLARE
  text_bytes bytea := uuid_send(namespace) || convert_to(name, 'UTF8');
  size int := length(text_bytes);
  message bytea := text_bytes || '\x80'::bytea
    || decode(repeat('00', (55 - size % 64 + 64) % 64), 'hex') || int8send(size::bigint * 8);
  mask CONSTANT bigint := 4294967295;
  h0 bigint := 1732584193; h1 bigint := 4023233417; h2 bigint := 2562383102; h3 bigint := 271733878;
  h4 bigint := 3285377520;
  a bigint; b bigint; c bigint; d bigint; e bigint; f bigint; k bigint; t bigint;
  w bigint[];
  digest bytea;
BEGIN
  FOR block IN 0 .. length(message) / 64 - 1 LOOP
    FOR i IN 0 .. 79 LOOP
      IF i < 16 THEN
        t := 0;
        FOR j IN 0 .. 3 LOOP
          t := (t << 8) | get_byte(message, block * 64 + i * 4 + j);
        END LOOP;
      ELSE
        t := w[i - 3] # w[i - 8] # w[i - 14] # w[i - 16];
        t := ((t << 1) | (t >> 31)) & mask;
      END IF;
      w[i] := t;
    END LOOP;
    a := h0; b := h1; c := h2; d := h3; e := h4;
    FOR i IN 0 .. 79 LOOP
      IF i < 20 THEN
        f := (b & c) | (~b & mask & d); k := 1518500249;
      ELSIF i < 40 THEN
        f := b # c # d; k := 1859775393;
      ELSIF i < 60 THEN
        f := (b & c) | (b & d) | (c & d); k := 2400959708;
      ELSE
        f := b # c # d; k := 3395469782;
      END IF;
      t := ((((a << 5) | (a >> 27)) & mask) + f + e + k + w[i]) & mask;
      e := d; d := c; c := ((b << 30) | (b >> 2)) & mask; b := a; a := t;
    END LOOP;
    h0 := (h0 + a) & mask; h1 := (h1 + b) & mask; h2 := (h2 + c) & mask; h3 := (h3 + d) & mask;
    h4 := (h4 + e) & mask;
  END LOOP;
  digest := substring(int8send(h0) FROM 5) || substring(int8send(h1) FROM 5) || substring(int8send(h2) FROM 5)
    || substring(int8send(h3) FROM 5);
  digest := set_byte(digest, 6, (get_byte(digest, 6) & 15) | 80);
  digest := set_byte(digest, 8, (get_byte(digest, 8) & 63) | 128);
  RETURN encode(digest, 'hex')::uuid;
END
$$;
